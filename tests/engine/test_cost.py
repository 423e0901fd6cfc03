"""The calculator agrees with what DynamoDB bills, and says what is wrong with its arguments."""

from __future__ import annotations

import math
import random
from base64 import b64encode
from fractions import Fraction
from functools import partial

import pytest
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory
from corpus import TURNS, compact_json, conversation, turn
from langchain_dynamodb.codec.messages import encode_messages, pack
from langchain_dynamodb.cost import KMS_WRAPPED_BYTES, main, session_usage, stored_turn_bytes
from like_kms import LikeKms
from memory_blobs import MemoryBlobs
from support import Meter, watch


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("wrapped", [None, KMS_WRAPPED_BYTES], ids=["plain", "encrypted"])
@pytest.mark.parametrize("kind", [*TURNS, 10_000, 50_000], ids=str)
async def test_the_model_agrees_with_the_engine(
    make_repository: RepositoryFactory, kind: str | int, wrapped: int | None
) -> None:
    """Within 10 percent of what DynamoDB Local counts for 60 turns, and for a cold read of them."""
    rng = random.Random(7)
    turns = list(conversation(kind, 60)) if isinstance(kind, str) else [turn(rng, kind) for _ in range(60)]
    encryption = None if wrapped is None else LikeKms(bytes(32))
    writer, reader = make_repository(encryption=encryption), make_repository(encryption=encryption)
    writing: Meter = watch(writer, Meter)
    for messages in turns:
        await writer.append("session", messages)
    reading: Meter = watch(reader, Meter)
    await reader.read("session")
    turn_bytes = sum(len(compact_json(messages)) for messages in turns) / len(turns)
    key_bytes = len("SessionIdsession")
    # The estimate is tested below and by plain sessions; a little more, and turns of 6 KB have no room any more.
    stored = sum(len(pack(encode_messages(messages))) for messages in turns) / len(turns) if wrapped else None
    usage = partial(session_usage, turn_bytes=turn_bytes, stored_bytes=stored, key_bytes=key_bytes)
    usage = partial(usage, wrapped_key_bytes=wrapped)
    warm = usage(60)
    cold = usage(61, cold_reads=1).read_units - usage(60, cold_reads=1).read_units  # the 61st read, if it is cold
    assert (warm.write_units, cold) == (
        pytest.approx(writing.write_units, rel=0.1),
        pytest.approx(reading.read_units, rel=0.1),
    )


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("images", [1, 7, 60])
@pytest.mark.parametrize("wrapped", [None, KMS_WRAPPED_BYTES], ids=["plain", "encrypted"])
async def test_images(make_repository: RepositoryFactory, wrapped: int | None, images: int) -> None:
    """Evenly among 30 turns: units within 10 percent, requests of S3 and bytes there as counted."""
    turns = list(conversation("short", 30))
    bucket = MemoryBlobs(threshold=64 << 10, bucket="a-bucket-of-20-chars")
    encryption = None if wrapped is None else LikeKms(bytes(32))
    writer, reader = (make_repository(encryption=encryption, blobs=bucket) for _ in range(2))
    writing: Meter = watch(writer, Meter)
    appended = 0
    for number, messages in enumerate(turns):
        while appended < math.ceil(images * (number + 1) / len(turns)):
            appended += 1
            await writer.append(
                "session", [HumanMessage(b64encode(random.Random(appended).randbytes(150_000)).decode())]
            )
        await writer.append("session", messages)
    reading: Meter = watch(reader, Meter)
    await reader.read("session")
    stored = sum(len(pack(encode_messages(messages))) for messages in turns) / len(turns)
    usage = partial(session_usage, turn_bytes=0, stored_bytes=stored, key_bytes=len("SessionIdsession"))
    usage = partial(usage, wrapped_key_bytes=wrapped, image_bytes=200_000)
    warm = usage(30, images=images)
    # The 31st read, if it is cold: with it come as many images as 30 turns had.
    cold = usage(31, images=Fraction(31 * images, 30), cold_reads=1).read_units
    cold -= usage(30, images=images, cold_reads=1).read_units
    assert (warm.write_units, cold) == (
        pytest.approx(writing.write_units, rel=0.1),
        pytest.approx(reading.read_units, rel=0.1),
    )
    assert (warm.s3_writes, len(bucket.objects)) == (images, images)
    assert warm.s3_bytes == pytest.approx(sum(map(len, bucket.objects.values())), rel=0.02)


def test_images_in_parts() -> None:
    """Above 8 MiB, which is 11 MB as base64, each has several requests; a cold read has one."""
    small, large = (session_usage(10, 700, images=10, image_bytes=size, cold_reads=1) for size in (10**7, 2 * 10**7))
    assert (small.s3_writes, large.s3_writes) == (10, 50)
    assert small.s3_reads == large.s3_reads == sum(range(1, 10))


@pytest.mark.once
@pytest.mark.parametrize("kind", TURNS)
def test_the_estimate_of_stored_bytes(kind: str) -> None:
    """Within 10 percent of what a turn of the corpus takes."""
    turns = list(conversation(kind, 200))
    given = sum(len(compact_json(messages)) for messages in turns) / len(turns)
    stored = sum(len(pack(encode_messages(messages))) for messages in turns) / len(turns)
    assert stored_turn_bytes(given) == pytest.approx(stored, rel=0.1)


def write_units_in_words(turn_bytes: int, key: int) -> float:
    """Write units of a turn by the formula of docs/performance.md, which is to be reckoned by hand."""
    e = max(190, 0.46 * turn_bytes - 245)
    if e > 2750:
        return math.ceil((120 + key + e) / 1024) + 1
    n = max(1, math.floor((3072 - key - 260) / (e + 22)))
    if n == 1:
        return (2 * math.ceil((190 + key + e) / 1024) + math.ceil((110 + key + 2 * (0.83 * e + 8)) / 1024)) / 2
    items = [190 + key + k * (e + 9) + 8 * n for k in range(1, n + 1)]
    appends = sum(math.ceil(item / 1024) for item in [*items[1:], items[-1]])
    page = 110 + key + n * (0.83 * e + 8)
    return (appends + math.ceil(page / 1024)) / n


@pytest.mark.once
@pytest.mark.parametrize("turn_bytes", [700, 1200, 1500, 2000, 3000, 4000, 5000, 6000, 7000, 10_000, 20_000])
def test_the_formula_in_words(turn_bytes: int) -> None:
    """The formula of the documentation gives what the calculator does, once a session has some pages."""
    young, long = (session_usage(turns, turn_bytes, key_bytes=45).write_units for turns in (1000, 2000))
    assert write_units_in_words(turn_bytes, 45) == pytest.approx((long - young) / 1000, rel=0.01)


@pytest.mark.once
def test_longer_sessions_cost_in_proportion() -> None:
    """A turn costs the same in a session of a hundred thousand turns as in one of a thousand."""
    short, long = (session_usage(turns, 1200).write_units / turns for turns in (1000, 100_000))
    assert long == pytest.approx(short, rel=0.01)


@pytest.mark.once
def test_the_calculator(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints units and dollars of all users together."""
    assert (
        main(["--turns", "50", "--turn-bytes", "1200", "--users", "1000", "--write-price", "1", "--read-price", "0"])
        == 0
    )
    out = capsys.readouterr().out
    units = session_usage(50, 1200).write_units * 1000
    assert "1,000 sessions of 50 turns: 50,000 turns" in out
    assert f"{units:,.0f}  ${units / 1e6:,.2f}" in out
    assert f"${units / 50_000:,.2f} for a million turns" in out
    assert "S3" not in out
    assert main(["--turns", "50", "--users", "1000", "--images", "10", "--image-bytes", "2000000"]) == 0
    out = capsys.readouterr().out
    assert "S3 requests              10,000  $0.05" in out
    assert "stored in S3           15.20 GB  $0.35 a month" in out


@pytest.mark.once
def test_the_largest_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """They give numbers, at once: not an overflow, nor a list of all pages."""
    largest = ["--turn-bytes", "100000000", "--users", "1000000000000", "--write-price", "1e6", "--read-price", "1e6"]
    assert main(["--turns", "10", *largest, "--cold-reads", "1"]) == 0
    assert "1,000,000,000,000 sessions of 10 turns" in capsys.readouterr().out


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--turns"),
        (["--turns", "0"], "'0' must be a whole number from 1"),
        (["--turns", "many"], "'many' must be a whole number"),
        (["--turns", "1" + 30 * "0"], "from 1 to 10,000,000"),
        (["--turns", "1", "--turn-bytes", "0"], "'0' must be a whole number from 1 to 100,000,000"),
        (["--turns", "1", "--users", "1" + 400 * "0"], "from 1 to 1,000,000,000,000"),
        (["--turns", "1", "--write-price", "inf"], "'inf' must be a number from 0 to 1,000,000"),
        (["--turns", "1", "--read-price", "nan"], "'nan' must be a number from 0 to 1,000,000"),
        (["--turns", "1", "--cold-reads", "2"], "'2' must be a number from 0 to 1"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An argument that cannot be used is named, with what would do."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err
