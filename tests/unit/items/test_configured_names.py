"""The names of attributes that the user chooses: what they may be, and that they differ."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation import NAMES
from langchain_dynamodb._items.configured_names import Names, check_names, check_sort_key_name
from langchain_dynamodb.errors import InvalidInputError


@pytest.mark.parametrize("names", [NAMES, Names("chat-history", "ttl"), Names("é", "a b[0]"), Names("lc", "LC_x")])
def test_names_that_may_be(names: Names) -> None:
    """Whatever DynamoDB takes, reserved words too."""
    check_names(names, "SessionId")


@pytest.mark.parametrize("name", ["", None, 5, b"SK", "lc_sort", "\ud800", "PK", "History", "expireAt"])
def test_sort_keys_that_no_session_could_have(name: Any) -> None:
    """One of ours, or of what is on every session item."""
    with pytest.raises(InvalidInputError, match="sort_key_name="):
        check_sort_key_name(name, NAMES, "PK")


@pytest.mark.parametrize("name", ["SK", "lc", "é"])
def test_sort_keys_that_may_be(name: str) -> None:
    """Any other."""
    check_sort_key_name(name, NAMES, "PK")
