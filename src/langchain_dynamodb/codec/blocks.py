"""From messages to what is stored at a place, and back: lines, blocks of deflated lines, and what seals them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from langchain_core.messages import BaseMessage

from .lines import UndecodableError, pack, unpack, unpack_each
from .long_blocks import BlockReader
from .long_lines import Line, Pieces
from .messages import decode_lines, encode
from .places import Degraded
from .sealing import Cipher, Place, SealedPieces, SealedReader


@dataclass(frozen=True)
class Codec:
    """Messages as lines of JSON, lines as blocks, and blocks as they are stored at their place.

    With `strict`, what would come back as something else is refused. With a `cipher`, that of a session, blocks are
    encrypted.
    """

    strict: bool = False
    cipher: Cipher | None = None

    def of(self, cipher: Cipher | None) -> Codec:
        """The same for the session that has this cipher (None: it is not encrypted)."""
        if cipher is self.cipher:
            return self
        return Codec(self.strict, cipher) if type(self) is Codec else replace(self, cipher=cipher)  # which takes longer

    def encode(
        self,
        messages: Sequence[BaseMessage],
        most: int,
        degraded: list[Degraded] | None = None,
        path: str | None = None,
        *,
        much: bool = True,
    ) -> list[Line]:
        """Each message as a line, of so many bytes at most; `path` names a single one in errors.

        What comes back as something else goes into `degraded`, or is warned of. Raises `UnsupportedMessageError` and
        `MessageTooLargeError`.
        """
        return encode(messages, most, path, strict=self.strict, degraded=degraded, much=much)

    def decode(self, lines: Sequence[Line], *, again: bool = False) -> list[BaseMessage]:
        """The messages of lines, maybe decoded `again`; the `UndecodableError` of a bad one carries its index."""
        return decode_lines(lines, again=again)

    def pack(self, lines: Sequence[Line], place: Place) -> bytes:
        """Lines as the block that is stored at `place`."""
        return self.seal(pack(lines), place)

    def unpack(self, stored: bytes, place: Place, most: int) -> list[Line]:
        """The lines of a block, of at most so many bytes; raises `UndecodableError`."""
        return unpack(self.open(stored, place), most)

    def unpack_each(self, blocks: Sequence[bytes], place: Place, most: int) -> list[list[Line]]:
        """The lines of each block, together of so many bytes at most; the error of a bad one carries its index."""
        opened: list[bytes] = []
        for block in blocks:
            try:
                opened.append(self.open(block, place))
            except UndecodableError as error:
                raise type(error)(error.reason, len(opened)) from None
        return unpack_each(opened, most)

    def seal(self, block: bytes, place: Place) -> bytes:
        """What is stored of a block, or of a part of one, at `place`: the very bytes, where there is no cipher."""
        return block if self.cipher is None else self.cipher.seal(block, place)

    def seal_pieces(self, block: Pieces, place: Place) -> Pieces:
        """The same of a block that is made piece by piece."""
        return block if self.cipher is None else SealedPieces(self.cipher, block, place)

    def reader(self, place: Place, most: int) -> BlockReader | SealedReader:
        """What takes in, piece by piece, the block that is stored at `place`, of at most so many bytes of text."""
        reader = BlockReader(most)
        return reader if self.cipher is None else SealedReader(self.cipher.reader(place), reader)

    def open(self, stored: bytes, place: Place) -> bytes:
        """The inverse of `seal`; raises `UndecodableError`."""
        return stored if self.cipher is None else self.cipher.open(stored, place)
