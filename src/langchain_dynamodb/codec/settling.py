"""What is stored of a native tree with values that come back as something else (`Replaced`).

Such a tree is stored without them: the data alone of what is replaced, no entry where the key is left out, and no mark
of an object that has such a part: it is data too, as it is in pages (but for a document's metadata).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .kinds import DOCUMENT, Parts
from .marks import NATIVE_MARK, Replaced

_Settled = tuple[Any, bool]
"""What is stored of a tree, and whether any of it comes back as something else."""


def settled(fields: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a message's fields."""
    return {name: _settle(value)[0] for name, value in fields.items()}


def _settle(tree: Any) -> _Settled:
    kind = type(tree)
    if kind is Replaced:
        return _settle(tree.data)[0], True
    if kind is list:
        return _all(tree)
    if kind is not dict:
        return tree, False
    return _settle_marked(tree) if NATIVE_MARK in tree else _named(tree)


def _all(trees: Iterable[Any]) -> tuple[list[Any], bool]:
    found = [_settle(tree) for tree in trees]
    return [tree for tree, _ in found], any(replaced for _, replaced in found)


def _named(trees: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    found, replaced = _all(trees.values())
    return dict(zip(trees, found, strict=True)), replaced


def _settle_marked(tree: dict[str, Any]) -> _Settled:
    kind, *parts = tree[NATIVE_MARK]
    beside, replaced = _named({name: part for name, part in tree.items() if name != NATIVE_MARK})
    if kind == "object":
        return _object(beside, replaced, *parts)
    if kind == "message":
        within, replaced = _named(parts[0]) if parts else (None, replaced)
        return {NATIVE_MARK: [kind] if within is None else [kind, within], **beside}, replaced
    if kind == "named tuple":
        fields, replaced = _named(parts[1])
        return {NATIVE_MARK: ["tuple", *fields.values()] if replaced else [kind, parts[0], fields]}, replaced
    if kind == "enum":
        name, member, value = parts
        value, replaced = _settle(value)
        if replaced and member is None:
            return value, True
        return {NATIVE_MARK: [kind, name, member, value]}, False  # its name alone identifies it
    kept = [part for part in parts if kind != "dict" or len(part) > 1]
    found, replaced = _all(kept)
    return {NATIVE_MARK: [kind, *found]}, replaced or len(kept) < len(parts)


def _object(beside: dict[str, Any], replaced: bool, name: str, *parts: Any) -> _Settled:
    """A model or dataclass, whose fields are beside its mark, or in it where one has the mark's name."""
    is_beside = not parts or type(parts[0]) is not dict
    first, *more = [beside, *parts] if is_beside else parts
    fields, in_fields = (first, replaced) if is_beside else _named(first)
    found, in_more = _all(more)
    is_made = name == DOCUMENT.name and DOCUMENT.is_made_with_data(Parts(fields))
    if (in_fields and not is_made) or in_more:
        return _data(fields, *found[1:]), True
    return {NATIVE_MARK: ["object", name, *([] if is_beside else [fields]), *found], **beside}, in_fields


def _data(fields: dict[str, Any], extra: Any = None) -> dict[str, Any]:
    """The dict of an object's fields and extra fields."""
    more = extra or {}
    if NATIVE_MARK not in fields and NATIVE_MARK not in more:
        return {**fields, **more}
    pairs = more[NATIVE_MARK][1:] if NATIVE_MARK in more else [[*item] for item in more.items()]
    return {NATIVE_MARK: ["dict", *([*item] for item in fields.items()), *pairs]}
