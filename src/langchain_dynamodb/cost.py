"""What sessions cost: ``python -m langchain_dynamodb.cost --turns 50 --turn-bytes 1200 --users 10000``.

The model of docs/performance.md, turn by turn: the tail grows until a page is cut. No I/O.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ._items.sizes import Sizes
from .blobs.s3 import ONE_REQUEST, PART

DOLLARS_PER_MILLION_WRITE_UNITS = 0.625  # on demand, us-east-1
DOLLARS_PER_MILLION_READ_UNITS = 0.125
DOLLARS_PER_GB_MONTH = 0.25
DOLLARS_PER_MILLION_S3_WRITES = 5.0  # S3 Standard, us-east-1; removing is free, but its listing is a write
DOLLARS_PER_MILLION_S3_READS = 0.4
DOLLARS_PER_S3_GB_MONTH = 0.023
KEY_BYTES = 45  # "SessionId" and a UUID
# Beside the messages, names included, as DynamoDB counts an item:
NUMBERS_BYTES = 137  # of a session item
PAGED_BYTES = 51  # more once it has pages
ENTRY_BYTES = 1 + 8  # of a turn: its place in the list, its operation id
OP_BYTES = 8  # an operation id that the last page left
PAGE_BYTES = 28 + 84  # of a page: the suffix of its key, its numbers
PAGE_RATIO = 0.83  # bytes of the turns in one block to those of a block each
SEALED_BYTES = 28  # of a block that is encrypted: nonce and tag
KEY_HEAD_BYTES = 6 + 17  # of an encrypted session's key beside the wrapped one: its name, version and salt
KMS_WRAPPED_BYTES = 184  # a data key of 32 bytes as AWS KMS wraps it
IMAGE_RATIO = 0.76  # bytes of an image that is stored to those of its base64
REFERENCE_BYTES = 100 + 20  # to an object: what the page has in place of its data, and a bucket's name
INTENT_BYTES = 110  # of a write of several pages, on the session item while it is under way


@dataclass(frozen=True)
class Usage:
    """Capacity units and bytes of one session, and what of it is in S3."""

    write_units: float = 0
    read_units: float = 0
    stored_bytes: float = 0
    s3_writes: float = 0  # requests
    s3_reads: float = 0
    s3_bytes: float = 0


def stored_turn_bytes(turn_bytes: float) -> float:
    """Bytes that a turn takes in the session item; `turn_bytes` is its size as LangChain's own compact JSON.

    Fitted to the conversations of tests/helpers/corpus.py: metadata nearly vanishes, English text halves.
    """
    return max(190.0, 0.46 * turn_bytes - 245)


def session_usage(
    turns: int,
    turn_bytes: float,
    *,
    stored_bytes: float | None = None,
    cold_reads: float = 0.0,
    sizes: Sizes | None = None,
    key_bytes: int = KEY_BYTES,
    wrapped_key_bytes: int | None = None,
    images: int = 0,
    image_bytes: float = 0.0,
) -> Usage:
    """Usage of one session of so many turns, each a read of the whole history and an append.

    `stored_bytes` of a turn, where they are known, replace the estimate from `turn_bytes`. `cold_reads` is the share of
    reads by a process that has none of the pages in memory. `key_bytes` is the size of the session key with its name,
    `wrapped_key_bytes` that of its wrapped data key, where it is encrypted. So many `images`, each of `image_bytes` as
    base64 and too large for a page, are appended by themselves, evenly among the turns, and are in S3.
    """
    sizes = sizes or Sizes()
    turn = stored_turn_bytes(turn_bytes) if stored_bytes is None else stored_bytes
    seal, sealing = (0, 0) if wrapped_key_bytes is None else (SEALED_BYTES, KEY_HEAD_BYTES + wrapped_key_bytes)
    entry = turn + seal
    room = max(sizes.session_item - key_bytes - 260 - sealing, 256)
    cost, op_cost = entry + 4 + 9, 9  # as `Sizes.tail` counts them
    tail = ops = 0  # appends in the tail; ids of the last page's appends
    item = writes = reads = page_reads = paged = 0.0
    objects, s3_reads = 0, 0.0

    def at_rest() -> float:
        """Bytes of the session item."""
        bare = key_bytes + NUMBERS_BYTES + sealing + (PAGED_BYTES if paged else 0)
        return bare + tail * (entry + ENTRY_BYTES) + ops * OP_BYTES

    for number in range(turns):
        reads += max(1, math.ceil(item / 4096)) + cold_reads * page_reads
        s3_reads += cold_reads * objects
        while objects < -(-images * (number + 1) // turns):
            objects += 1
            if tail or not item:  # a page for the tail and one for the image, under an intent
                writes += math.ceil((item + INTENT_BYTES) / 1024)
            if tail:
                count, page = _pages(tail, turn, sizes)
                writes += count * math.ceil((key_bytes + page + seal) / 1024)
                page_reads += count * 0.5 * math.ceil((key_bytes + page + seal) / 4096)
                paged += count * (key_bytes + page + seal)
            writes += 1
            page_reads += 0.5
            paged += key_bytes + PAGE_BYTES + REFERENCE_BYTES
            before, tail, ops = item, 0, tail + 1
            item = at_rest()
            writes += math.ceil(max(before, item) / 1024)
        before = item
        if (tail + 1) * cost + ops * op_cost <= room:
            tail += 1
        else:
            fits = 2 * cost <= room  # else the turn joins the page
            count, page = _pages(tail if fits else tail + 1, turn, sizes)
            page += seal
            writes += count * math.ceil((key_bytes + page) / 1024)
            page_reads += count * 0.5 * math.ceil((key_bytes + page) / 4096)
            paged += count * (key_bytes + page)
            tail, ops = int(fits), tail
        item = at_rest()
        writes += math.ceil(max(before, item) / 1024)
    image = IMAGE_RATIO * image_bytes
    s3_writes = objects * (1 if image <= ONE_REQUEST else math.ceil(image / PART) + 2)
    return Usage(writes, reads, item + paged, s3_writes, s3_reads, objects * image)


def _pages(turns: int, entry: float, sizes: Sizes) -> tuple[int, float]:
    """The number of pages that hold so many turns, and the bytes of each without the session's key."""
    data = entry if turns == 1 else PAGE_RATIO * entry * turns
    count = math.ceil(data / sizes.page)
    return count, PAGE_BYTES + OP_BYTES * turns + data / count


def _number(low: int, high: int, *, whole: bool = True) -> type:
    def parse(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} must be {kind} from {low:,} to {high:,}")
        return value

    return parse  # type: ignore[return-value]


def main(arguments: Sequence[str] | None = None, program: str = "python -m langchain_dynamodb.cost") -> int:
    """Print what so many sessions cost."""
    parser = argparse.ArgumentParser(prog=program, description="What chat sessions cost.")
    parser.add_argument("--turns", type=_number(1, 10**7), required=True, help="turns of a session")
    parser.add_argument(
        "--turn-bytes", type=_number(1, 10**8), default=1200, help="bytes of a turn as JSON (default 1200)"
    )
    parser.add_argument("--stored-bytes", type=_number(1, 10**8), help="bytes of a turn as stored, if you know them")
    parser.add_argument("--encrypted", action="store_true", help="the sessions are encrypted, with a key of AWS KMS")
    parser.add_argument(
        "--images", type=_number(0, 10**6), default=0, help="images of a session, kept in S3 (default 0)"
    )
    parser.add_argument(
        "--image-bytes", type=_number(1, 1 << 28), default=10**6, help="bytes of an image as base64 (default 1,000,000)"
    )
    parser.add_argument("--users", type=_number(1, 10**12), default=1, help="sessions of that length (default 1)")
    parser.add_argument(
        "--cold-reads",
        type=_number(0, 1, whole=False),
        default=0.0,
        help="share of reads by a process that has not seen the session (default 0)",
    )
    parser.add_argument(
        "--write-price",
        type=_number(0, 10**6, whole=False),
        default=DOLLARS_PER_MILLION_WRITE_UNITS,
        help="dollars for a million write units (default %(default)s)",
    )
    parser.add_argument(
        "--read-price",
        type=_number(0, 10**6, whole=False),
        default=DOLLARS_PER_MILLION_READ_UNITS,
        help="dollars for a million read units (default %(default)s)",
    )
    options = parser.parse_args(arguments)
    usage = session_usage(
        options.turns,
        options.turn_bytes,
        stored_bytes=options.stored_bytes,
        cold_reads=options.cold_reads,
        wrapped_key_bytes=KMS_WRAPPED_BYTES if options.encrypted else None,
        images=options.images,
        image_bytes=options.image_bytes,
    )
    writes = usage.write_units * options.users / 1e6 * options.write_price
    reads = usage.read_units * options.users / 1e6 * options.read_price
    s3 = usage.s3_writes * options.users / 1e6 * DOLLARS_PER_MILLION_S3_WRITES
    s3 += usage.s3_reads * options.users / 1e6 * DOLLARS_PER_MILLION_S3_READS
    turns = options.turns * options.users
    stored = usage.stored_bytes * options.users / 1e9
    print(f"{options.users:,} sessions of {options.turns:,} turns: {turns:,} turns")
    print(f"write units  {usage.write_units * options.users:>18,.0f}  ${writes:,.2f}")
    print(f"read units   {usage.read_units * options.users:>18,.0f}  ${reads:,.2f}")
    if options.images:
        print(f"S3 requests  {(usage.s3_writes + usage.s3_reads) * options.users:>18,.0f}  ${s3:,.2f}")
    total = writes + reads + s3
    print(f"total        {'':>18}  ${total:,.2f}  (${total / turns * 1e6:,.2f} for a million turns)")
    print(f"stored       {stored:>15,.2f} GB  ${stored * DOLLARS_PER_GB_MONTH:,.2f} a month")
    if options.images:
        in_s3 = usage.s3_bytes * options.users / 1e9
        print(f"stored in S3 {in_s3:>15,.2f} GB  ${in_s3 * DOLLARS_PER_S3_GB_MONTH:,.2f} a month")
    return 0


if __name__ == "__main__":
    sys.exit(main())
