"""Images in questions: what they are, whether they can be taken, and where messages have them."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastapi import HTTPException
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.messages.content import create_image_block, create_text_block

MOST_IMAGES = 4  # in one question
MOST_BYTES = 5_000_000  # of one image; the page says so too
MOST_TOGETHER = 10_000_000  # as base64 they have a third more, and a message without a bucket 16 MiB
MOST_BODY = MOST_IMAGES * MOST_BYTES * 4 // 3 + 500_000  # of a request: so much, and it can still be said what is wrong


class Kind(NamedTuple):
    """What an image is; `width` and `height` in pixels, 0 where its header does not tell."""

    name: str
    width: int = 0
    height: int = 0

    @property
    def mime_type(self) -> str:
        """As HTTP names it."""
        return f"image/{self.name.lower()}"


def kind_of(data: bytes) -> Kind | None:
    """What these bytes begin like; None for anything but PNG, JPEG, GIF and WebP."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return Kind("PNG", *struct.unpack(">II", data[16:24]))
        if data.startswith((b"GIF87a", b"GIF89a")):
            return Kind("GIF", *struct.unpack("<HH", data[6:10]))
        if data.startswith(b"\xff\xd8\xff"):
            return Kind("JPEG", *_jpeg_size(data))
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return Kind("WebP", *_webp_size(data))
    except (struct.error, IndexError):
        pass
    return None


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame begins
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return 0, 0


def _webp_size(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


def question_of(text: str, images: Sequence[str], id: str) -> HumanMessage:
    """The message: its text, and each image (base64) as LangChain's standard block, which models with eyes understand.

    Raises `HTTPException` for what is no image, and for too much.
    """
    if len(images) > MOST_IMAGES:
        raise HTTPException(413, f"A question may have {MOST_IMAGES} images; this one has {len(images)}.")
    blocks: list[Any] = [create_text_block(text)] if text else []
    together = 0
    for number, encoded in enumerate(images, 1):
        try:
            data = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise HTTPException(422, f"Image {number} is not base64.") from None
        together += len(data)
        if len(data) > MOST_BYTES:
            raise HTTPException(413, f"Image {number} has {_megabytes(data)} MB; an image may have 5 MB at most.")
        kind = kind_of(data)
        if kind is None:
            raise HTTPException(422, f"Image {number} is none that can be shown: PNG, JPEG, GIF or WebP.")
        blocks.append(create_image_block(base64=encoded, mime_type=kind.mime_type))
    if together > MOST_TOGETHER:
        raise HTTPException(413, "The images have more than 10 MB together: send them in several questions.")
    return HumanMessage(blocks if images else text, id=id)


def _megabytes(data: bytes) -> str:
    return f"{len(data) / 1e6:.1f}"


def images_in(message: BaseMessage) -> list[dict[str, Any]]:
    """The image blocks of a message that hold their data."""
    blocks = message.content if isinstance(message.content, list) else []
    return [b for b in blocks if isinstance(b, dict) and b.get("type") == "image" and isinstance(b.get("base64"), str)]


def bytes_of(block: dict[str, Any]) -> bytes:
    """The data of an image block; none where another program has stored what is no base64."""
    try:
        return base64.b64decode(block["base64"])
    except ValueError:
        return b""


def described(block: dict[str, Any]) -> str:
    """An image in words: its kind and sizes."""
    data = bytes_of(block)
    kind = kind_of(data)
    pixels = f" of {kind.width} by {kind.height} pixels" if kind and kind.width else ""
    return f"{f'a {kind.name}' if kind else 'an unknown'} image{pixels} ({len(data):,} bytes)"
