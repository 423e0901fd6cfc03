"""Entity tags of session versions, and what a request's preconditions say about them (RFC 9110, 13.1). No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InvalidInputError

# Section 8.8.3: commas may stand within the quotes. Header values are decoded as Latin-1.
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_BETWEEN = re.compile(r"[ \t]*(?:,[ \t]*)+")  # recipients accept empty elements
_VERSION = re.compile(r"0|[1-9][0-9]{0,17}")


def etag(version: int) -> str:
    """The entity tag of a session's version; ``"0"`` stands for a session that is absent.

    Raises `InvalidInputError` for what is no version.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise InvalidInputError(
            f"etag({version!r:.40}): pass the version of a session, such as chat.version or what append(...) returned"
        )
    return f'"{version}"'


@dataclass(frozen=True)
class EntityTags:
    """What one ``If-Match`` or ``If-None-Match`` lists: the versions among its tags; others match none."""

    anything: bool = False
    """``*``: every version of a session that exists."""
    strong: frozenset[int] = frozenset()
    weak: frozenset[int] = frozenset()

    def match(self, version: int, *, weakly: bool) -> bool:
        """Whether a tag stands for the version; ``If-Match`` compares strongly, ``If-None-Match`` weakly."""
        if self.anything:
            return version > 0
        return version in self.strong or (weakly and version in self.weak)


def parse_tags(header: str, values: Sequence[str]) -> EntityTags | None:
    """All values of one header, which may come in several lines; None where there is none.

    Raises ValueError, which says how it should look.
    """
    if not values:
        return None
    text = ", ".join(values).strip(" \t,")
    if text == "*":
        return EntityTags(anything=True)
    strong: set[int] = set()
    weak: set[int] = set()
    position = 0
    while tag := _TAG.match(text, position):
        if _VERSION.fullmatch(tag[2]):
            (weak if tag[1] else strong).add(int(tag[2]))
        if tag.end() == len(text):
            return EntityTags(strong=frozenset(strong), weak=frozenset(weak))
        between = _BETWEEN.match(text, tag.end())
        if between is None:
            break
        position = between.end()
    raise ValueError(
        f'{header} must be * or a list of entity tags in double quotes, such as {header}: "1764000000000000": '
        "send back the ETag of a response as it was"
    )


@dataclass(frozen=True)
class Preconditions:
    """Under which versions a change may happen."""

    match: EntityTags | None
    none_match: EntityTags | None

    @property
    def version(self) -> int | None:
        """The one version under which it may, where that is known without a look at the session."""
        if self.match is None:
            return 0 if self.none_match and self.none_match.anything else None
        if self.none_match is None and len(self.match.strong) == 1:
            return next(iter(self.match.strong))
        return None

    def are_weak(self, version: int) -> bool:
        """Whether ``If-Match``, which compares strongly, has no more than a weak tag of this version."""
        return self.match is not None and version in self.match.weak and version not in self.match.strong

    def hold(self, version: int) -> bool:
        """Whether the change may happen at this version."""
        if self.match is not None and not self.match.match(version, weakly=False):
            return False
        return self.none_match is None or not self.none_match.match(version, weakly=True)
