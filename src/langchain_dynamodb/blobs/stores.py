"""What a place for large data must be able to do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from ..errors import SettingsError


class StoredObject(NamedTuple):
    """An object in a listing; `modified` in seconds since the epoch."""

    name: str
    size: int
    modified: float


@runtime_checkable
class Blobs(Protocol):
    """A bucket of immutable objects. Equal ones share repositories of histories, so it must be hashable.

    All methods raise `BlobUnavailableError` where the bucket refuses or does not answer.
    """

    def __hash__(self) -> int:
        """As that of equal ones."""

    @property
    def bucket(self) -> str:
        """What it is called, for those who have to find it again."""

    @property
    def prefix(self) -> str:
        """What stands before the names that it is given."""

    @property
    def threshold(self) -> int:
        """Data of more bytes than this becomes an object."""

    async def put(self, name: str, data: bytes, sha256: bytes) -> None:
        """Write an object, whole or not at all; one of that name, which has been written before, stays."""

    async def put_pieces(self, name: str, pieces: Iterable[bytes]) -> None:
        """The same of data that is made while it is written, in a thread, once; nobody has it whole."""

    async def get(self, name: str, size: int) -> bytes | None:
        """Its data, not much more than `size`; None where there is no such object."""

    def get_pieces(self, name: str, size: int) -> AsyncGenerator[bytes, None]:
        """The same as it comes: no piece where there is no such object, an empty one where it is empty."""

    def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """All objects whose names begin so."""

    async def delete(self, names: Sequence[str]) -> None:
        """Remove them, if they are there."""


def check_apart(some: Blobs | None, others: Blobs | None) -> None:
    """Raise `SettingsError` where two tables of one name would keep their objects in one place."""
    if some is not None and others is not None and (some.bucket, some.prefix) == (others.bucket, others.prefix):
        raise SettingsError(
            f"large data of both tables, which have the same name, would be in bucket {some.bucket!r} under "
            f"{some.prefix!r}, where deletions of one reach that of the other: give one another prefix"
        )
