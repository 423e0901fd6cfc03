"""What a writer does; there is one for our format, and one for that of langchain_community."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from langchain_core.messages import BaseMessage

from .._dynamodb.attribute_values import Changes
from .._items.keys import SessionKey
from .._protocol.append import Ids
from ..codec.long_lines import Line


class Content(NamedTuple):
    """Messages, and each as a line of JSON; whether they are so much that the event loop should not wait for them."""

    messages: Sequence[BaseMessage]
    lines: Sequence[Line]
    is_much: bool = False


class MessageEdit(NamedTuple):
    """What becomes of the newest stored message with this id: the one of `content`, or nothing where that has none."""

    id: str
    content: Content = Content((), ())

    @property
    def line(self) -> Line | None:
        """The other one."""
        return self.content.lines[0] if self.content.lines else None


class Writer(Protocol):
    """Changes sessions.

    `expected` is the version that the session must have (None: any; 0: there is none), `own` what to set of the
    user's own attributes along with the change. With `must_exist` no session is begun. All but `delete` return the
    session's version. They raise what the methods of `AsyncSessionRepository` raise.
    """

    async def append(
        self,
        key: SessionKey,
        content: Content,
        ids: Ids,
        expected: int | None,
        *,
        history_size: int | None,
        own: Changes,
        must_exist: bool,
    ) -> int:
        """Append all messages or none."""

    async def replace(
        self, key: SessionKey, content: Content, expected: int | None, *, own: Changes, must_exist: bool
    ) -> int:
        """Exchange the history."""

    async def truncate(self, key: SessionKey, keep: int, expected: int | None, *, must_exist: bool) -> int:
        """Keep the first `keep` messages."""

    async def edit(self, key: SessionKey, edit: MessageEdit, expected: int | None) -> int:
        """Change or remove one message."""

    async def update_metadata(
        self, key: SessionKey, changes: Changes, expected: int | None, *, own: Changes, must_exist: bool
    ) -> int:
        """Merge `changes` into the metadata."""

    async def set_expiry(self, key: SessionKey, seconds: int | None, expected: int | None) -> int:
        """Let the session expire in so many seconds, or not any more."""

    async def delete(self, key: SessionKey, expected: int | None) -> None:
        """Remove the session and all its items."""
