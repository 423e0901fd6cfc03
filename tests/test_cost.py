"""The calculator agrees with what DynamoDB bills, and says what is wrong with its arguments."""

from __future__ import annotations

import pytest

from conftest import RepositoryFactory
from corpus import TURNS, compact_json, conversation
from langchain_dynamodb.cost import main, session_usage, stored_turn_bytes
from langchain_dynamodb.messages import encode_messages, pack
from support import Meter, watch


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("kind", TURNS)
async def test_the_model_agrees_with_the_engine(make_repository: RepositoryFactory, kind: str) -> None:
    """Within 10 percent of what DynamoDB Local counts for 60 turns, and for a cold read of them."""
    turns = list(conversation(kind, 60))
    writer, reader = make_repository(), make_repository()
    writing: Meter = watch(writer, Meter)
    for turn in turns:
        await writer.append("session", turn)
    reading: Meter = watch(reader, Meter)
    await reader.read("session")
    turn_bytes = sum(len(compact_json(turn)) for turn in turns) / len(turns)
    key_bytes = len("SessionIdsession")
    warm = session_usage(60, turn_bytes, key_bytes=key_bytes)
    # The 61st read, if it is cold.
    cold = session_usage(61, turn_bytes, key_bytes=key_bytes, cold_reads=1).read_units
    cold -= session_usage(60, turn_bytes, key_bytes=key_bytes, cold_reads=1).read_units
    assert (warm.write_units, cold) == (
        pytest.approx(writing.write_units, rel=0.1),
        pytest.approx(reading.read_units, rel=0.1),
    )


@pytest.mark.once
@pytest.mark.parametrize("kind", TURNS)
def test_the_estimate_of_stored_bytes(kind: str) -> None:
    """Within 10 percent of what a turn of the corpus takes."""
    turns = list(conversation(kind, 200))
    given = sum(len(compact_json(turn)) for turn in turns) / len(turns)
    stored = sum(len(pack(encode_messages(turn))) for turn in turns) / len(turns)
    assert stored_turn_bytes(given) == pytest.approx(stored, rel=0.1)


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


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--turns"),
        (["--turns", "0"], "'0' must be a whole number from 1"),
        (["--turns", "many"], "'many' must be a whole number"),
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
