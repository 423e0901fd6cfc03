"""Print what pages take with deflate and our dictionary, and with zstd (needs the dependency group bench)."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import zstandard

from corpus import conversation
from langchain_dynamodb.codec.dictionary import DICTIONARY_1
from langchain_dynamodb.codec.messages import encode_messages

TURNS = 448
REPEATS = 5
Codec = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


def deflate(level: int) -> Codec:
    """Raw deflate with our dictionary, as blocks are."""
    fresh = zlib.compressobj(level, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY_1)

    def pack(data: bytes) -> bytes:
        deflater = fresh.copy()
        return deflater.compress(data) + deflater.flush()

    return pack, lambda data: zlib.decompressobj(-15, zdict=DICTIONARY_1).decompress(data)


def zstd(level: int) -> Codec:
    """Zstandard with the same dictionary."""
    dictionary = zstandard.ZstdCompressionDict(DICTIONARY_1)
    packer = zstandard.ZstdCompressor(level=level, dict_data=dictionary, write_checksum=False)
    return packer.compress, zstandard.ZstdDecompressor(dict_data=dictionary).decompress


CODECS = {"deflate 6": deflate(6), "deflate 9": deflate(9), "zstd 3": zstd(3), "zstd 9": zstd(9), "zstd 19": zstd(19)}


def cpu(call: Callable[[bytes], bytes], blocks: list[bytes]) -> float:
    """Microseconds of CPU a turn, the best of some runs."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        for block in blocks:
            call(block)
        times.append(time.process_time() - start)
    return min(times) / TURNS * 1e6


def main() -> None:
    """Blocks of one turn (entries of the tail), of seven (a page cut from it), and of 64."""
    lines = [b"\n".join(encode_messages(turn)) for turn in conversation("1.2 KB", TURNS)]
    print(
        "| turns in a block | codec | bytes a turn | us to pack a turn | us to unpack a turn |\n" + "| --- " * 5 + "|"
    )
    for turns in (1, 7, 64):
        texts = [b"\n".join(lines[i : i + turns]) for i in range(0, TURNS, turns)]
        for name, (pack, unpack) in CODECS.items():
            packed = [pack(text) for text in texts]
            assert [unpack(block) for block in packed] == texts
            size = sum(map(len, packed)) / TURNS
            print(f"| {turns} | {name} | {size:.0f} | {cpu(pack, texts):.0f} | {cpu(unpack, packed):.1f} |", flush=True)


if __name__ == "__main__":
    main()
