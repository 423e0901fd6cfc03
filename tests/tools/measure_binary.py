"""Print what images and documents take as binary values of a block, and as base64 text in its JSON.

``python tests/tools/measure_binary.py FILE ...``; without files it takes the pictures of the documentation.
"""

from __future__ import annotations

import base64
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from langchain_core.messages import HumanMessage

from langchain_dynamodb.codec.messages import decode_lines, encode_message, pack, unpack

REPEATS = 5
LIMIT = 1 << 24


def seconds(call: Callable[[], object]) -> float:
    """The shortest of a few runs."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def measure(data: bytes) -> list[float]:
    """Bytes, milliseconds to write and to read: as a binary value, then as text."""
    found: list[float] = []
    for value in (data, base64.b64encode(data).decode()):
        message = HumanMessage([{"type": "file", "data": value}])
        block = pack([encode_message(message)])
        assert decode_lines(unpack(block, LIMIT)) == [message]
        write = seconds(lambda message=message: pack([encode_message(message)]))  # type: ignore[misc]
        read = seconds(lambda block=block: decode_lines(unpack(block, LIMIT)))  # type: ignore[misc]
        found += [len(block), 1000 * write, 1000 * read]
    return found


def main() -> None:
    """Print a line for each kind of file."""
    files = [Path(name) for name in sys.argv[1:]] or sorted(Path(__file__).parents[2].glob("docs/images/*.png"))
    by_kind = defaultdict(list)
    for file in files:
        data = file.read_bytes()
        by_kind[file.suffix.lower()].append([float(len(data)), *measure(data)])
    print("| kind | files | bytes | binary | base64 | write, ms | read, ms |\n|" + " --- |" * 7)
    for kind, rows in sorted(by_kind.items()):
        size, binary, write, read, text, write_text, read_text = map(sum, zip(*rows, strict=True))
        cells = [kind, len(rows), f"{size:,.0f}", f"{binary / size:.3f}", f"{text / size:.3f}"]
        cells += [f"{write:.1f} / {write_text:.1f}", f"{read:.1f} / {read_text:.1f}"]
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
