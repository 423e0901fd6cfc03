"""The data of large pages as objects: written before their page, removed after it, checked when they are read.

Names are never used twice, so that an object that was removed is missed by nobody but the page that was removed too: a
late copy of a request cannot bring back a reference that is dead (`put_page` sees to that for pages).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Container, Sequence, Sized
from dataclasses import dataclass, replace

from .._dynamodb.attribute_values import Item
from .._items.attribute_names import DATA
from .._items.keys import SessionKey
from .._items.page_items import Page, Reference
from .._items.parsing import LostObjectError
from .._items.session_items import SessionItem
from .._items.sizes import MAX_INFLATED, MAX_LARGE
from ..blobs.names import ObjectName, prefix_of, session_part
from ..blobs.stores import Blobs
from ..errors import ChatHistoryError, MissingBlobsError
from .object_pieces import CHANGED, MISSING, MakeReader, Seen, taken_in
from .off_loop import off_loop_if_many

TOKEN_BYTES = 12
MUCH = 1 << 20  # bytes of an object that are not fetched at once where its message can be had without


@dataclass(frozen=True)
class PageObjects:
    """What of the pages of a `table` is in a bucket; without `blobs` nothing is put there."""

    table: str
    blobs: Blobs | None = None

    @property
    def longest(self) -> int:
        """Bytes that one message may have here."""
        return MAX_INFLATED if self.blobs is None else MAX_LARGE

    def takes(self, page: Page) -> bool:
        """Whether the data of this page goes into an object."""
        return self.blobs is not None and (page.large or len(page.data) > self.blobs.threshold)

    def planned(self, page: Page) -> Page:
        """The page as `put` would have it stored, about: for estimates."""
        if self.blobs is None or not self.takes(page):
            return page
        reference = Reference("0" * 2 * TOKEN_BYTES, len(page.data), "0" * 64, self.blobs.bucket)
        return replace(page, data=b"", reference=reference)

    def name(self, key: SessionKey, generation: int, number: int, reference: Reference) -> str:
        """What the object is called that a page refers to."""
        return str(ObjectName(self.table, session_part(key.attributes), generation, number, reference.token))

    def _named(self, key: SessionKey, generation: int, page: Page, data: Sized) -> tuple[str, Reference]:
        """A new name, and the reference to what will have it."""
        assert self.blobs is not None  # which takes the page
        reference = Reference(os.urandom(TOKEN_BYTES).hex(), len(data), "", self.blobs.bucket)
        return self.name(key, generation, page.number, reference), reference

    async def put(self, key: SessionKey, generation: int, page: Page) -> Page:
        """The page as it is to be stored: with a reference to its data, which is in an object now, where it is large.

        Raises `BlobUnavailableError`.
        """
        if self.blobs is None or not self.takes(page):
            return page
        name, reference = self._named(key, generation, page, page.data)
        if page.pieces is None:
            digest = await _sha256(page.data)
            await self.blobs.put(name, page.data, digest)
            reference = reference._replace(sha256=digest.hex())
        else:
            seen = Seen(page.pieces)
            await self.blobs.put_pieces(name, seen)
            reference = reference._replace(sha256=seen.sha256, size=seen.size)
        return replace(page, data=b"", pieces=None, reference=reference)

    async def load(self, key: SessionKey, generation: int, page: Page, reader: MakeReader | None = None) -> Page:
        """The page with its data, or with the reason for which that is `lost`.

        Where a `reader` is given and the data is much, that takes it in as it comes: then it is `opened`. Raises
        `BlobUnavailableError`, and `MissingBlobsError` where there are no `blobs`.
        """
        reference = page.reference
        if reference is None or page.data or page.opened is not None:
            return page
        blobs = self.required(key, reference.bucket)
        name = self.name(key, generation, page.number, reference)
        if reader is not None and page.parts == 1 and page.messages <= 1 and reference.size > MUCH:
            return await taken_in(page, reference, blobs.get_pieces(name, reference.size), reader())
        data = await blobs.get(name, reference.size)
        if data is None:
            return replace(page, lost=MISSING)
        if len(data) != reference.size or (await _sha256(data)).hex() != reference.sha256:
            return replace(page, lost=CHANGED)
        return replace(page, data=data)

    def error(self, key: SessionKey, generation: int, page: Page) -> LostObjectError:
        """Why the data of this page, which is lost, cannot be had."""
        blobs, reference = self.blobs, page.reference
        assert blobs is not None  # else it would not be lost
        assert reference is not None
        elsewhere = "" if reference.bucket == blobs.bucket else f" (it was written to bucket {reference.bucket!r})"
        name = blobs.prefix + self.name(key, generation, page.number, reference)
        return LostObjectError(blobs.bucket, name, f"{page.lost}{elsewhere}")

    def required(self, key: SessionKey, noted: str) -> Blobs:
        """The place for data of a session of which this bucket (or several) is noted.

        Raises `MissingBlobsError` where this repository has none.
        """
        if self.blobs is None:
            bucket = noted.partition(" ")[0]
            told = f"data of session {key} is in bucket {bucket!r}"
            advice = "make the repository with blobs=S3Blobs(...) of this bucket, nothing was done"
            raise MissingBlobsError(f"{told}: {advice}", bucket=bucket)
        return self.blobs

    def check_bucket(self, key: SessionKey, page: Page) -> None:
        """Raise `MissingBlobsError` where its object is missing here, and was written to another bucket."""
        if self.blobs and page.reference and page.lost == MISSING and page.reference.bucket != self.blobs.bucket:
            raise self.elsewhere(key, page.reference.bucket)

    def elsewhere(self, key: SessionKey, bucket: str) -> MissingBlobsError:
        """The error for an object that is not in the bucket of this repository, but was written to this one."""
        assert self.blobs is not None  # it has one
        told = f"data of session {key} was written to bucket {bucket!r}, and is not in bucket {self.blobs.bucket!r}"
        advice = "make the repository with blobs=S3Blobs(...) of the former, or copy its objects, nothing was done"
        return MissingBlobsError(f"{told}: {advice}", bucket=bucket)

    async def delete(self, key: SessionKey, item: SessionItem, numbers: Container[int] | None = None) -> None:
        """Remove the objects of pages that are gone, whose numbers are never used again; None: of the whole generation.

        Those of writes that were never finished too. Raises `BlobUnavailableError`.
        """
        found = await self.find(key, item.generation)
        await self.remove([str(of) for of in found if numbers is None or of.page in numbers])

    async def find(self, key: SessionKey, generation: int | None = None) -> list[ObjectName]:
        """All objects under a session's name, or those of one generation of it. Raises `BlobUnavailableError`."""
        if self.blobs is None:
            return []
        session = session_part(key.attributes)
        listed = self.blobs.list(prefix_of(self.table, session, generation))
        parsed = [ObjectName.parse(one.name) async for one in listed]
        return [of for of in parsed if of and of.session == session]

    async def remove(self, names: Sequence[str]) -> None:
        """Remove objects, if there are any to remove. Raises `BlobUnavailableError`."""
        if self.blobs is not None and names:
            await self.blobs.delete(names)

    def dead(
        self, key: SessionKey, generation: int, number: int, old: Item | None, new: Page | None = None
    ) -> list[str]:
        """The object of a page that was removed, or whose place `new` has taken, if it had one."""
        reference = _reference(old)
        if self.blobs is None or reference is None or (new is not None and reference == new.reference):
            return []
        return [self.name(key, generation, number, reference)]

    async def tidy(self, names: Sequence[str]) -> bool:
        """Remove objects that nothing refers to any more; returns whether any is gone. It raises nothing."""
        with contextlib.suppress(ChatHistoryError):
            await self.remove(names)
            return bool(names)
        return False

    def bucket_of(self, stored: Item | None) -> str | None:
        """Where the data of a page is, if it is an object, and there are no `blobs`."""
        reference = None if self.blobs is not None else _reference(stored)
        return reference and reference.bucket

    def check(self, key: SessionKey, stored: Item | None) -> None:
        """Raise `MissingBlobsError` where the data of a page is in an object, and there are no `blobs`."""
        if bucket := self.bucket_of(stored):
            self.required(key, bucket)

    async def withdraw(self, key: SessionKey, generation: int, page: Page, there: Item) -> None:
        """Remove the object of a page that was refused, unless that is `there`: by an earlier copy of the request."""
        if _reference(there) != page.reference:
            await self.tidy(self.dead(key, generation, page.number, {DATA: page.stored_data}))


def _reference(stored: Item | None) -> Reference | None:
    return Reference.parse((stored or {}).get(DATA, {}).get("S"))


async def _sha256(data: bytes) -> bytes:
    return await off_loop_if_many([data], lambda: hashlib.sha256(data).digest())
