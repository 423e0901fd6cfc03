"""An item in the format of langchain_community, as a typed value. No I/O."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TypeAlias

from .._dynamodb.attribute_values import SETS, AttributeValue, Item, number
from .attribute_names import INTENT, TAIL_OPS
from .configured_names import Names
from .session_items import Intent, SessionItem


@dataclass(frozen=True, slots=True)
class CommunityItem:
    """An item in the format of langchain_community: one list of native maps, maybe with our ids and lease on it."""

    history: AttributeValue  # {"L": [...]}, as read: the condition of the conversion compares with it
    has_history: bool = True
    ops: frozenset[bytes] = frozenset()
    intent: Intent | None = None
    expires: int | None = None
    own: Item = field(default_factory=dict, compare=False)

    @property
    def version(self) -> int:
        """A number that changes with the content; langchain_community writes none. 0: no history here yet."""
        if not self.has_history:
            return 0
        text = _text(self.history)
        if any(kind in text for kind in SETS):  # whose order DynamoDB does not keep
            text = _text(_sorted_sets(self.history))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") + 1

    def has_op(self, op: bytes) -> bool:
        """Whether this operation is among those remembered here."""
        return op in self.ops

    def attributes(self, names: Names) -> Item:
        """All attributes but the key and the user's own."""
        item: Item = {names.history: self.history} if self.has_history else {}
        if self.ops:
            item[TAIL_OPS] = {"BS": sorted(self.ops)}
        if self.intent:
            item[INTENT] = self.intent.attribute()
        if self.expires is not None:
            item[names.ttl] = number(self.expires)
        return item

    @property
    def natives(self) -> list[AttributeValue]:
        """The stored messages."""
        entries: list[AttributeValue] = self.history["L"]
        return entries


def _text(history: AttributeValue) -> str:
    return json.dumps(history, sort_keys=True, default=repr)


def _sorted_sets(value: AttributeValue) -> AttributeValue:
    ((kind, content),) = value.items()
    if kind == "L":
        return {kind: [_sorted_sets(entry) for entry in content]}
    if kind == "M":
        return {kind: {name: _sorted_sets(entry) for name, entry in content.items()}}
    return {kind: sorted(content)} if kind in SETS else value


State: TypeAlias = SessionItem | CommunityItem
