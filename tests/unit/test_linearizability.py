"""The checkers of histories accept what can have happened and refuse what cannot."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

import linearizability
import session_model as model
from chaos import History
from linearizability import NotLinearizable, Operation, Undecided, linearize
from session_model import State, Step

pytestmark = pytest.mark.once

A, B = ("a.0.1",), ("b.0.2", "b.1.2")


def put(value: int, begin: int, end: float) -> Operation:
    """Write a register."""
    return Operation(f"put {value}", begin, lambda _: value, end)


def get(value: int, begin: int, end: float) -> Operation:
    """Read a register."""
    return Operation(f"get {value}", begin, lambda state: state if state == value else None, end)


REGISTERS = {
    "one after the other": [put(1, 1, 2), get(1, 3, 4), put(2, 5, 6), get(2, 7, 8)],
    "read before the write that overlaps": [put(1, 1, 4), get(0, 2, 3), get(1, 5, 6)],
    "read during the write": [put(1, 1, 6), get(0, 2, 3), get(1, 4, 5)],
    "writes in the order that the reads say": [put(1, 1, 9), put(2, 2, 10), get(2, 3, 4), get(1, 5, 6)],
    "never told, happened": [put(1, 1, float("inf")), get(0, 2, 3), get(1, 4, 5)],
    "never told, never happened": [put(1, 1, float("inf")), get(0, 2, 3), get(0, 4, 5)],
}
WRONG_REGISTERS = {
    "lost": [put(1, 1, 2), get(0, 3, 4)],
    "from the future": [get(1, 1, 2), put(1, 3, 4)],
    "from nowhere": [put(1, 1, 2), get(7, 3, 4)],
    "old after new, one reader": [put(1, 1, 10), get(1, 2, 3), get(0, 4, 5)],
    "old after new, two readers": [put(1, 1, 10), get(1, 2, 5), get(0, 6, 9)],
    "two orders": [put(1, 1, 2), put(2, 1, 2), get(1, 3, 4), get(2, 5, 6)],
    "taken back": [put(1, 1, float("inf")), get(1, 2, 3), get(0, 4, 5)],
    "never told, before it began": [get(1, 1, 2), put(1, 3, float("inf"))],
}


@pytest.mark.parametrize("history", REGISTERS.values(), ids=REGISTERS)
def test_registers(history: list[Operation]) -> None:
    """A register's history that can have happened, and the order found for it."""
    order = linearize(history, 0)
    state = 0
    for operation in order:
        state = operation.step(state)
        assert state is not None
    assert {operation.name for operation in history if operation.end < 99} <= {operation.name for operation in order}
    for before, after in itertools.combinations(order, 2):
        assert after.end > before.begin


@pytest.mark.parametrize("history", WRONG_REGISTERS.values(), ids=WRONG_REGISTERS)
def test_wrong_registers(history: list[Operation]) -> None:
    """A register's history that cannot have happened."""
    with pytest.raises(NotLinearizable, match="can follow"):
        linearize(history, 0)


def test_random_histories() -> None:
    """Histories made from an order are accepted; with one read falsified they are refused as brute force does."""
    chance = random.Random(5)
    wrong = 0
    for _ in range(200):
        history = []
        value = 0
        for tick in range(6):
            begin, end = 10 * tick - chance.randrange(25), 10 * tick + chance.randrange(1, 25)
            if chance.random() < 0.5:
                value = chance.randrange(3)
                history.append(put(value, begin, end))
            else:
                history.append(get(value, begin, end))
        linearize(history, 0)
        position = chance.randrange(6)
        history[position] = get(chance.randrange(3), history[position].begin, history[position].end)
        possible = any(explains(order) for order in itertools.permutations(history))
        wrong += not possible
        assert verdict(history) == possible
    assert 20 < wrong < 180


def explains(order: tuple[Operation, ...]) -> bool:
    """Whether this very order does."""
    state = 0
    for i, operation in enumerate(order):
        if any(later.end <= operation.begin for later in order[i + 1 :]):
            return False
        state = operation.step(state)
        if state is None:
            return False
    return True


def verdict(history: list[Operation]) -> bool:
    """What the checker says."""
    try:
        linearize(history, 0)
    except NotLinearizable:
        return False
    return True


def test_giving_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that takes too long is no verdict."""
    monkeypatch.setattr(linearizability, "SEARCHED", 50)
    with pytest.raises(Undecided):
        linearize([*(put(i, 1, 2) for i in range(12)), get(99, 3, 4)], 0)


def follow(*steps: Step) -> State | None:
    """One step after the other."""
    state: State | None = State()
    for step in steps:
        state = step(state) if state is not None else None
    return state


append_a, append_b = model.wrote(model.append(A), 10), model.wrote(model.append(B), 12)
METADATA = model.wrote(model.update_metadata, 12)
SESSIONS: dict[str, list[Step]] = {
    "appends": [append_a, append_b, model.read(12, A + B, count=3)],
    "a write not told": [append_a, model.wrote(model.append(B), None), model.read(12, A + B)],
    "inner steps": [append_a, model.read(11, A), append_b, model.read(13, A + B)],
    "windows": [append_a, append_b, model.read(12, B[1:], 1, 3), model.read(12, (), 0, 3), model.read(12, A + B, 9, 3)],
    "guarded": [append_a, model.wrote(model.append(B), 12, 11), model.read(12, A + B)],
    "guarded, inner steps seen": [
        append_a,
        model.read(10, A),
        model.read(11, A),
        model.wrote(model.append(B), 12, 10),
        model.read(12, A + B),
    ],
    "guarded, none there": [model.wrote(model.append(A), 9, 0), model.read(9, A)],
    "replaced": [append_a, model.wrote(model.replace(B), 11), model.read(11, B)],
    "emptied": [append_a, model.wrote(model.replace(()), 11), model.read(11, ()), append_b],
    "nothing to empty": [model.wrote(model.replace(()), 0), model.read(0, ())],
    "truncated": [append_b, model.wrote(model.truncate(1), 13), model.read(13, B[:1])],
    "nothing to truncate": [append_a, model.wrote(model.truncate(1), 10), model.read(10, A)],
    "metadata": [model.wrote(model.update_metadata, 3), model.read(3, ()), append_a],
    "deleted": [append_a, model.wrote(model.delete, None), model.read(0, ()), append_b, model.read(12, B)],
    "revived": [append_a, model.wrote(model.delete, None), model.revived(model.append(A)), model.read(12, A)],
    "unchanged": [append_a, model.saw_version(11), model.iterated(A)],
}
WRONG_SESSIONS: dict[str, list[Step]] = {
    "lost": [append_a, append_b, model.read(12, A)],
    "doubled": [append_a, model.read(12, A + A)],
    "half a batch": [append_b, model.read(12, B[:1])],
    "gap": [append_a, append_b, model.read(12, A + B[1:])],
    "other order": [append_a, append_b, model.read(12, B + A)],
    "older version": [append_a, append_b, model.read(12, A + B), model.read(11, A + B)],
    "write at a version seen": [append_a, model.read(12, A), append_b],
    "wrong count": [append_a, model.read(12, A, count=2)],
    "wrong window": [append_a, append_b, model.read(12, B[:1], 1, 3)],
    "guard passed": [append_a, model.read(11, A), append_b, model.wrote(model.append(B), 13, 11)],
    "guard passed by metadata": [append_a, model.read(11, A), METADATA, model.wrote(model.append(B), 13, 11)],
    "guard none, one there": [append_a, model.wrote(model.append(B), 12, 0)],
    "not truncated": [append_b, model.wrote(model.truncate(1), 13), model.read(13, B)],
    "still there": [append_a, model.wrote(model.delete, None), model.read(11, A)],
    "gone": [append_a, model.read(0, ())],
    "version of none": [model.read(1, ())],
    "revived on top": [append_a, model.revived(model.append(B))],
    "iterated": [append_a, model.iterated(A + B)],
}


@pytest.mark.parametrize("steps", SESSIONS.values(), ids=SESSIONS)
def test_sessions(steps: list[Step]) -> None:
    """What clients of a session may see."""
    assert follow(*steps) is not None


@pytest.mark.parametrize("steps", WRONG_SESSIONS.values(), ids=WRONG_SESSIONS)
def test_wrong_sessions(steps: list[Step]) -> None:
    """What they may not: the last step is refused, those before it are not."""
    assert follow(*steps[:-1]) is not None
    assert follow(*steps) is None


def append(version: int, begin: int, end: int) -> list[Operation]:
    """Append one message named by that version."""
    return model.acknowledged(f"append {version}", begin, end, model.append((f"{version}.0.1",)), version)


def read(version: int, *seen: int) -> Operation:
    """Read, after everything else, messages named by versions."""
    return Operation("read", 900, model.read(version, [f"{v}.0.1" for v in seen]), 901)


def test_a_concurrent_session() -> None:
    """The checker finds the order of a session's writes by what was read; versions never fall."""
    writes = [operation for v in range(20, 16, -1) for operation in append(v, 20 - v, 120 - v)]
    order = linearize([*writes, read(20, *range(17, 21))], State())
    names = [f"append {v}" for v in range(17, 21)]
    assert [operation.name for operation in order if operation.name in names] == names
    with pytest.raises(NotLinearizable):
        linearize([*writes, read(19, *range(17, 21))], State())


def test_a_hint_saves_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions tell the order of many concurrent writes at once; without them it would be searched for."""
    monkeypatch.setattr(linearizability, "SEARCHED", 100)
    writes = [operation for v in range(40, 10, -1) for operation in append(v, 50 - v, 150 - v)]
    linearize([*writes, read(40, *range(11, 41))], State())
    with pytest.raises(Undecided):
        linearize([*(replace(write, hint=0.0) for write in writes), read(40, *range(11, 41))], State())


def test_versions_in_real_time() -> None:
    """A write that began after another was acknowledged has a higher version; one that overlaps may not."""
    linearize([*append(12, 1, 2), *append(13, 3, 4), read(13, 12, 13)], State())
    linearize([*append(13, 1, 4), *append(12, 2, 3), read(13, 12, 13)], State())
    for old in (11, 12):
        with pytest.raises(NotLinearizable):
            linearize([*append(12, 1, 2), *append(old, 3, 4)], State())


@pytest.mark.parametrize("replaced", [True, False])
def test_a_write_of_which_only_the_effect_was_seen(replaced: bool) -> None:
    """A truncation to two that found nothing to do: one of three is gone, by a replace nobody was told of."""
    history = History("s", deletes=False)
    history.wrote("a append a1.0.3", history.tick(), model.append(("a1.0.3", "a1.1.3", "a1.2.3")), 10, None)
    if replaced:
        unknown = model.perhaps(model.replace(("b1.0.2", "b1.1.2")))
        history.never_told("b replace b1.0.2", history.tick(), unknown, ("b1.0.2", "b1.1.2"))
    for keep in (7, 2):
        history.wrote(f"c truncate to {keep} -> 20", history.tick(), model.truncate(keep), 20, None)
    if replaced:
        history.check()
    else:
        with pytest.raises(NotLinearizable):
            history.check()


@pytest.mark.parametrize("appended", [True, False])
def test_a_write_of_which_only_the_count_was_seen(appended: bool) -> None:
    """A window without messages that tells of three where two are known."""
    history = History("s", deletes=False)
    history.wrote("a append a1.0.2", history.tick(), model.append(("a1.0.2", "a1.1.2")), 10, None)
    if appended:
        history.never_told("b append b1.0.1", history.tick(), model.perhaps(model.append(("b1.0.1",))), ("b1.0.1",))
    history.saw("c window 12: ", history.tick(), model.read(12, (), limit=0, count=3), 12)
    if appended:
        history.check()
    else:
        with pytest.raises(NotLinearizable):
            history.check()
