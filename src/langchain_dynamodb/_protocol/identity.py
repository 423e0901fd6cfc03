"""How operations are recognised: ids of appends, keys of callers, versions that they expect."""

from __future__ import annotations

from typing import Protocol

from .._checks import short
from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._items.session_items import SessionItem
from ..errors import IdempotencyError, MessageNotFoundError, SessionNotFoundError, VersionConflictError


class Versioned(Protocol):
    """A state of a session."""

    @property
    def version(self) -> int:
        """Its number."""


def check_expected(key: SessionKey, item: Versioned | None, expected: int | None, given: int | None = None) -> None:
    """Raise `VersionConflictError` unless the session is at the expected version; it names the one that was `given`."""
    actual = item.version if item else 0
    if expected not in (None, actual):
        told = (expected or 0) if given is None else given
        state = f"session {key} is at version {actual}, not {told}: read it again and decide anew"
        if not told:
            state = (
                f"there is a session {key} already, at version {actual}: read it and decide anew, or take another name"
            )
        raise VersionConflictError(state, expected=told, actual=actual)


def check_exists(key: SessionKey, item: State | None) -> None:
    """Raise `SessionNotFoundError` unless there is a session."""
    if item is None or (isinstance(item, CommunityItem) and not item.has_history):
        raise SessionNotFoundError(
            f"there is no session {key}: it was deleted, has expired or never began (to begin one, append without "
            "must_exist)"
        )


def message_not_found(key: SessionKey, message_id: str) -> MessageNotFoundError:
    """The error for an id that no stored message has."""
    return MessageNotFoundError(
        f"session {key} has no message with id {short(message_id)}: read it for the ids there are (a message that was "
        "appended without one has none)",
        message_id=message_id,
    )


def check_content(key: SessionKey, wanted: frozenset[bytes], stored: frozenset[bytes]) -> None:
    """Raise `IdempotencyError` unless the ids of the content are stored along with that of its idempotency key."""
    if not wanted <= stored:
        raise IdempotencyError(
            f"this idempotency key was used on session {key} for other messages: use a new key for new messages"
        )


def is_same(seen: State | None, item: State | None) -> bool:
    """Whether it is still the session that was seen: ours whatever happened to it, langchain_community's unchanged."""
    if isinstance(seen, SessionItem) and isinstance(item, SessionItem):
        return seen.generation == item.generation
    if isinstance(seen, CommunityItem) and isinstance(item, CommunityItem):
        return (seen.has_history, seen.history, seen.ops) == (item.has_history, item.history, item.ops)
    return seen is item is None


def only_appends(seen: State | None, item: State | None) -> bool:
    """Whether nothing but appends can have happened in between: a change of ours would have left its id."""
    if isinstance(seen, SessionItem) and isinstance(item, SessionItem):
        return (seen.generation, seen.change) == (item.generation, item.change)
    if isinstance(seen, CommunityItem) and isinstance(item, CommunityItem):
        # There each change adds its id to the others', but langchain_community, writing, leaves none.
        return is_same(seen, item) or (bool(seen.ops) and seen.ops <= item.ops)
    return seen is item is None
