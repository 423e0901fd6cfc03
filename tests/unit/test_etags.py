"""Entity tags and preconditions: what RFC 9110 says of them."""

from __future__ import annotations

import pytest

from langchain_dynamodb.errors import InvalidInputError
from langchain_dynamodb.web.etags import EntityTags, Preconditions, etag, parse_tags


def tags(*strong: int, weak: tuple[int, ...] = ()) -> EntityTags:
    """Tags of versions."""
    return EntityTags(strong=frozenset(strong), weak=frozenset(weak))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        (["*"], EntityTags(anything=True)),
        ([" * "], EntityTags(anything=True)),
        (['"5"'], tags(5)),
        (['"0"'], tags(0)),
        (['"5","7"'], tags(5, 7)),
        (['"5"', ' "7"'], tags(5, 7)),
        ([', "5" ,\t, "7",'], tags(5, 7)),
        (['W/"5", "7"'], tags(7, weak=(5,))),
        (['"a,b", "5"'], tags(5)),  # one tag with a comma, of another server
        (['"05"', '"-5"', '"5.0"', '""', '"\u0665"'.encode().decode("latin-1")], tags()),
        (['"99999999999999999999"'], tags()),  # more digits than any version
        ([""], tags()),
    ],
)
def test_parse(values: list[str], expected: EntityTags | None) -> None:
    """Lists, several lines, weak tags, empty elements; tags that are none of ours match nothing."""
    if values == [""]:
        with pytest.raises(ValueError, match="double quotes"):
            parse_tags("If-Match", values)
    else:
        assert parse_tags("If-Match", values) == expected


@pytest.mark.parametrize(
    "value", ["5", '"5', '5"', '"5" "7"', '"5";"7"', '*, "5"', 'w/"5"', 'W/ "5"', '"5", x', "'5'", '"a"b"', '"a b"']
)
def test_malformed(value: str) -> None:
    """What is no list of tags is refused, with the form it should have."""
    with pytest.raises(ValueError, match="If-Match must be"):
        parse_tags("If-Match", [value])


def test_etag_is_read_back() -> None:
    """A tag we send is the version when it comes back, whole microseconds and the absent session's 0."""
    for version in (0, 1, 1_764_000_000_123_456, 2**59):
        assert parse_tags("If-Match", [etag(version)]) == tags(version)
    assert parse_tags("If-Match", [etag(2**63)]) == tags()  # no version, so it matches none


STAR = EntityTags(anything=True)


@pytest.mark.parametrize(
    ("match", "none_match", "alone", "held"),
    [
        (tags(5), None, 5, {5}),
        (tags(0), None, 0, {0}),
        (tags(5, 7), None, None, {5, 7}),
        (tags(weak=(5,)), None, None, set[int]()),  # If-Match compares strongly
        (tags(5, weak=(7,)), None, 5, {5}),
        (STAR, None, None, {5, 7}),
        (None, STAR, 0, {0}),
        (None, tags(5), None, {0, 7}),
        (None, tags(weak=(5,)), None, {0, 7}),  # If-None-Match weakly
        (tags(5, 7), tags(7), None, {5}),
        (tags(5), STAR, None, set[int]()),
        (STAR, STAR, None, set[int]()),
    ],
)
def test_preconditions(
    match: EntityTags | None, none_match: EntityTags | None, alone: int | None, held: set[int]
) -> None:
    """They hold at these versions of 0 (absent), 5 and 7; one known without a look is the only one."""
    conditions = Preconditions(match, none_match)
    assert {version for version in (0, 5, 7) if conditions.hold(version)} == held
    assert conditions.version == alone
    assert alone is None or held == {alone}


@pytest.mark.parametrize("version", [None, "5", -1, True, 1.0])
def test_what_is_no_version_has_no_tag(version: object) -> None:
    """Such as that of a summary without a version: a tag made of it would match nothing, or what it should not."""
    with pytest.raises(InvalidInputError, match=r"pass the version of a session"):
        etag(version)  # type: ignore[arg-type]
