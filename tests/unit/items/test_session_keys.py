"""How sessions are named, the keys of their pages, and that no session can be named like a page."""

from __future__ import annotations

import decimal
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from langchain_dynamodb._items.keys import (
    GENERATIONS,
    PAGE_NUMBERS,
    PARTITION_KEY_BYTES,
    SORT_KEY_BYTES,
    SUFFIX_BYTES,
    SessionKey,
    after_pages,
    key_value,
    session_key,
)
from langchain_dynamodb.codec.messages import Place
from langchain_dynamodb.errors import InvalidInputError

Key = dict[str, Any]

GENERATION, PAGE = 0x60A1B2C3D4E5F, 7
SUFFIX = "~lc~060a1b2c3d4e5f~00000007"

# --- Names of sessions ---


@pytest.mark.parametrize(
    ("session", "item", "page"),
    [
        ("s", {"SessionId": {"S": "s"}}, {"SessionId": {"S": "s" + SUFFIX}}),
        ({"SK": "b", "PK": "a"}, {"PK": {"S": "a"}, "SK": {"S": "b"}}, {"PK": {"S": "a"}, "SK": {"S": "b" + SUFFIX}}),
        ({"a": "x", "b": 1}, {"a": {"S": "x"}, "b": {"N": "1"}}, {"a": {"S": "x" + SUFFIX}, "b": {"N": "1"}}),
        (
            {"a": Decimal("-100.50"), "b": bytearray(b"\xff")},
            {"a": {"N": "-100.5"}, "b": {"B": b"\xff"}},
            {"a": {"N": "-100.5"}, "b": {"B": b"\xff" + SUFFIX.encode()}},
        ),
    ],
)
def test_page_keys(session: Any, item: Any, page: Any) -> None:
    """The key is as given, and its last attribute by name that is text or binary takes the page's suffix."""
    key = session_key(session, "SessionId")
    assert (key.item, key.page(GENERATION, PAGE)) == (item, page)
    assert len(SUFFIX) == SUFFIX_BYTES


def test_equal_keys_are_equal() -> None:
    """Order of the mapping, kind of mapping and spelling of a number make no difference, so caches find them."""

    class Name(str, Enum):
        PK = "a"

    same = [{"a": "x", "b": 1}, {"b": Decimal("1.0"), "a": "x"}, {Name.PK: "x", "b": Decimal("10E-1")}]
    assert len({session_key(session, "unused") for session in same}) == 1
    assert session_key("x", "a") == session_key({"a": "x"}, "unused")
    assert session_key({"a": "x", "b": Decimal("-0E+9")}, "a") == session_key({"a": "x", "b": 0}, "a")
    assert session_key({"a": b"x"}, "a") != session_key({"a": "x"}, "a")


def test_numbers_are_exact_in_any_decimal_context() -> None:
    """The application's decimal context neither rounds a key nor makes it fail."""
    digits = "1234567890" * 3 + "12345678"
    with decimal.localcontext() as context:
        context.prec = 3
        context.traps[decimal.Inexact] = True
        assert session_key({"n": int(digits), "a": "x"}, "a").item["n"] == {"N": digits}
        assert session_key({"n": Decimal(digits).scaleb(-60, decimal.Context(prec=38)), "a": "x"}, "a").item["n"] == {
            "N": "0." + "0" * 22 + digits
        }


@pytest.mark.parametrize(
    ("session", "said"),
    [
        ("", "''"),
        (None, "session None is a NoneType"),
        (5, "session 5 is a int"),
        (b"s", "session b's' is a bytes"),
        (["s"], "is a list"),
        ("\ud800", r"'\\ud800', which holds a lone surrogate"),
        ({}, "has 0 attributes"),
        ({"a": "1", "b": "2", "c": "3"}, "has 3 attributes"),
        ({"": "x"}, "name ''"),
        ({1: "x"}, "name 1"),
        ({"\ud800": "x"}, r"name '\\ud800'"),
        ({"a": ""}, "'a' is ''"),
        ({"a": b""}, "'a' is b''"),
        ({"a": None}, "'a' is None"),
        ({"a": "x", "b": 1.5}, "'b' is 1.5"),
        ({"a": "x", "b": True}, "'b' is True"),
        ({"a": "x", "b": Decimal("NaN")}, r"'b' is Decimal\('NaN'\)"),
        ({"a": "x", "b": Decimal("Infinity")}, "Infinity"),
        ({"a": "x", "b": 10**38 + 1}, "at most 38 digits"),
        ({"a": "x", "b": 10**126}, "at most 38 digits"),
        ({"a": "x", "b": 10**5000}, "at most 38 digits"),
        ({"a": "x", "b": Decimal("1E+999999999")}, "at most 38 digits"),
        ({"a": "x", "b": Decimal("1E-131")}, "at most 38 digits"),
        ({"a": {"S": "x"}}, "'a' is {'S': 'x'}"),
        ({"a": 1}, "numbers only"),
        ({"a": 1, "b": 2}, "numbers only"),
        ("x" * (PARTITION_KEY_BYTES - SUFFIX_BYTES + 1), "2022 bytes .* at most 2021 fit"),
        ("é" * 1011, "2022 bytes"),
        ({"a": "x" * (PARTITION_KEY_BYTES + 1), "b": "y"}, "'a' has 2049 bytes"),
        ({"a": "x", "b": b"y" * (SORT_KEY_BYTES - SUFFIX_BYTES + 1)}, "'b' has 998 bytes"),
        ("s" + SUFFIX, "ends like the key of a page"),
        ({"a": "x" + SUFFIX, "b": "y"}, "'a' .* ends like the key of a page"),
        ({"a": b"\xff" + SUFFIX.encode()}, "ends like the key of a page"),
    ],
)
def test_keys_that_cannot_be(session: object, said: str) -> None:
    """What cannot name a session is refused with a message that shows it."""
    with pytest.raises(InvalidInputError, match=said):
        session_key(session, "SessionId")


def test_names_close_to_the_reserved_ones_can_be() -> None:
    """Only the exact form of a page key is reserved."""
    for name in (SUFFIX + "x", SUFFIX + "\n", SUFFIX[:-1], SUFFIX.upper(), SUFFIX[1:], "~lc~"):
        assert session_key(name, "SessionId").item == {"SessionId": {"S": name}}


# --- No session is named like a page ---

PIECES = st.sampled_from(
    [
        "s",
        "~",
        "~lc~",
        "lc",
        "~lc",
        "lc~",
        "0" * 14,
        "0660c0f0d2a1b3",
        "00000000",
        "0000000g",
        "A" * 8,
        "\n",
        "\x00",
        " ",
    ]
)
SUFFIXES = st.from_regex(r"~lc~[0-9a-f]{14}~[0-9a-f]{8}", fullmatch=True)
TEXTS = st.one_of(
    st.text(min_size=1, max_size=20),
    st.lists(PIECES | SUFFIXES, min_size=1, max_size=5).map("".join),
    st.tuples(st.text(max_size=5), SUFFIXES, st.sampled_from(["", "\n", "0", "x"])).map("".join),
)
VALUES = TEXTS | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.integers(-(10**37), 10**37)
SESSIONS = st.one_of(
    TEXTS,
    st.fixed_dictionaries({"PK": VALUES}),
    st.fixed_dictionaries({"PK": VALUES, "SK": VALUES}),
)
PAGES = st.tuples(st.integers(0, GENERATIONS - 1), st.integers(0, PAGE_NUMBERS - 1))


def accepted(session: object) -> SessionKey:
    """The key of a session, where it is accepted."""
    try:
        return session_key(session, "PK")
    except InvalidInputError:
        assume(False)
        raise


@given(SESSIONS, PAGES)
@example("s", (0, 0))
@example({"PK": b"\xff"}, (GENERATIONS - 1, PAGE_NUMBERS - 1))
def test_no_session_can_have_the_key_of_a_page(session: object, page: tuple[int, int]) -> None:
    """Whatever key a page gets, no session of that key is accepted."""
    key = accepted(session).page(*page)
    named = {name: int(value["N"]) if "N" in value else next(iter(value.values())) for name, value in key.items()}
    with pytest.raises(InvalidInputError, match="ends like the key of a page"):
        session_key(named, "PK")


@given(SESSIONS, SESSIONS, PAGES, PAGES)
def test_pages_of_different_sessions_have_different_keys(
    one: object, other: object, page: tuple[int, int], another: tuple[int, int]
) -> None:
    """A page key belongs to one session, one generation and one number."""
    first, second = accepted(one), accepted(other)
    assert (first.page(*page) == second.page(*another)) == (first.item == second.item and page == another)


@given(SESSIONS, PAGES)
def test_page_keys_fit_wherever_session_keys_do(session: object, page: tuple[int, int]) -> None:
    """The suffix has a fixed length, which is reserved when the session's key is checked."""
    key = accepted(session)
    assert sum(len(v.encode() if isinstance(v, str) else v) for a in key.page(*page).values() for v in a.values()) == (
        SUFFIX_BYTES + sum(len(value.encode() if isinstance(value, str) else value) for _, _, value in key.attributes)
    )


@pytest.mark.parametrize(("generation", "number"), [(GENERATIONS, 0), (0, PAGE_NUMBERS), (-1, 0), (0, -1)])
def test_a_number_with_too_many_digits_has_no_page(generation: int, number: int) -> None:
    """Its key would not be of the reserved form, so it could be some session's."""
    with pytest.raises(InvalidInputError, match="has no key"):
        session_key("s", "PK").page(generation, number)


@pytest.mark.parametrize("extra", [1, 27, 5000])
@pytest.mark.parametrize(
    "key",
    [
        {"PK": "x" * (PARTITION_KEY_BYTES - SUFFIX_BYTES)},
        {"PK": b"\xff" * (PARTITION_KEY_BYTES - SUFFIX_BYTES)},
        {"PK": "p", "SK": "x" * (SORT_KEY_BYTES - SUFFIX_BYTES)},
        {"PK": 1, "SK": b"x" * (SORT_KEY_BYTES - SUFFIX_BYTES)},
        {"PK": "\N{PILE OF POO}" * ((PARTITION_KEY_BYTES - SUFFIX_BYTES) // 4)},
    ],
    ids=["text", "binary", "sort key", "binary sort key", "four bytes each"],
)
def test_lengths_are_counted_in_bytes(key: Key, extra: int) -> None:
    """The longest key is accepted, and one that is longer refused before anything is sent."""
    session_key(key, "PK")
    name = max(key)
    with pytest.raises(InvalidInputError, match="at most"):
        session_key({**key, name: key[name] + key[name][:1] * extra}, "PK")


# --- What else a key tells ---

COMPOSITE = session_key({"SK": b"b", "PK": 1}, "unused")


def test_the_shape_of_a_key() -> None:
    """Names and types, to be compared with a table's."""
    assert COMPOSITE.shape == {("PK", "N"), ("SK", "B")}


def test_a_key_is_shown_by_its_values() -> None:
    """In errors; numbers as such."""
    assert str(session_key({"PK": "a", "SK": 1}, "unused")) == "PK='a', SK=1"


def test_a_key_has_the_size_of_its_names_and_values() -> None:
    """In bytes: the tail has that much less room."""
    assert session_key({"é": "ü", "SK": b"ab"}, "unused").size == 4 + 4


def test_the_keys_of_pages_begin_alike() -> None:
    """In the attribute that takes the suffix."""
    assert (session_key("s", "K").page_prefix, COMPOSITE.page_prefix) == ({"S": "s~lc~"}, {"B": b"b~lc~"})


@pytest.mark.parametrize("key", [session_key("s~lc~", "K"), session_key("é", "K"), COMPOSITE])
@pytest.mark.parametrize("generation", [0, GENERATION, GENERATIONS - 1])
def test_the_place_in_the_key_of_a_page(key: SessionKey, generation: int) -> None:
    """So that pages are told whose session item is gone."""
    page = key.page(generation, PAGE)
    assert (key.page_of(page), key.page_id(page) in list(page.values())[-1].values()) == ((generation, PAGE), True)


@pytest.mark.parametrize(
    "value",
    ["s", "s~lc~", "t" + SUFFIX, "ss" + SUFFIX, "s" + SUFFIX + "0", "s" + SUFFIX[:-1], "s" + SUFFIX.upper(),
     "s~lc~" + SUFFIX, "s~lc~" + "0" * 23],
)  # fmt: skip
def test_what_is_no_key_of_a_page_of_this_session(value: str) -> None:
    """Of another session, another form, or of one whose name only begins like it."""
    assert session_key("s", "K").page_of({"K": {"S": value}}) is None


def test_the_place_of_a_block() -> None:
    """On the session item, or in a page of a generation."""
    assert (COMPOSITE.place(), COMPOSITE.place(5, 7)) == (
        Place((("PK", "N", "1"), ("SK", "B", b"b"))),
        Place((("PK", "N", "1"), ("SK", "B", b"b")), 5, 7),
    )


@pytest.mark.parametrize(
    ("value", "stored"),
    [("x", ("S", "x")), (bytearray(b"x"), ("B", b"x")), (10, ("N", "10")), (Decimal("-0.50"), ("N", "-0.5")),
     (Decimal("-0"), ("N", "0")), ("s" + SUFFIX, ("S", "s" + SUFFIX))],
)  # fmt: skip
def test_values_of_any_key(value: object, stored: object) -> None:
    """Also of an index's, whose values may end like the key of a page."""
    assert key_value("user", value) == stored


# --- Past the pages of a session ---

PARTITION = {"PK": {"S": "p"}}


@pytest.mark.parametrize(
    ("kind", "value", "forwards", "backwards"),
    [
        ("S", "s" + SUFFIX, "s" + SUFFIX[:-8] + "ffffffff", "s" + SUFFIX[:-8] + "00000000"),
        ("B", b"\xff" + SUFFIX.encode(), b"\xff" + SUFFIX[:-8].encode() + b"ffffffff",
         b"\xff" + SUFFIX[:-8].encode() + b"00000000"),
    ],
)  # fmt: skip
def test_a_query_goes_on_past_all_pages_of_a_session(kind: str, value: Any, forwards: Any, backwards: Any) -> None:
    """Whatever page it has come to: none of them is read."""
    place = {**PARTITION, "SK": {kind: value}}
    edges = [after_pages(place, ["SK"], backwards) for backwards in (False, True)]
    assert edges == [{**PARTITION, "SK": {kind: edge}} for edge in (forwards, backwards)]


@pytest.mark.parametrize("sort", [{"S": "s"}, {"S": SUFFIX[:-1]}, {"N": "1"}, {"B": b"~lc~"}])
def test_elsewhere_a_query_goes_on_where_it_is(sort: Any) -> None:
    """No session may be skipped."""
    place = {**PARTITION, "SK": sort}
    assert after_pages(place, ["SK"], backwards=False) == place


def test_the_partition_is_never_left() -> None:
    """Where only its own key looks like that of a page."""
    place = {"PK": {"S": "s" + SUFFIX}, "SK": {"S": "a"}}
    assert after_pages(place, ["SK"], backwards=False) == place
