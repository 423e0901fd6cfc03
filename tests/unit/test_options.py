"""Options of a repository: checked as a whole, and then never changed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from langchain_dynamodb import Sizes
from langchain_dynamodb._items.configured_names import Names
from langchain_dynamodb._store.options import Options, Timing
from langchain_dynamodb.errors import InvalidInputError


def test_the_names_that_a_user_chose() -> None:
    """Of the history and the expiry."""
    options = Options("Table", history_messages_key="Chat", ttl_key_name="ttl")
    assert (Options("Table").names, options.names) == (Names("History", "expireAt"), Names("Chat", "ttl"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"table_name": "no table"}, "table_name='no table'"),
        ({"item_format": "native"}, "item_format='native'"),
        ({"skip_undecodable": 1}, "skip_undecodable=1 must be True or False"),
        ({"sizes": Sizes(page=0)}, "sizes="),
        ({"ttl": 0}, "ttl=0"),
        ({"history_messages_key": "lc_x"}, "history_messages_key='lc_x'"),
        ({"primary_key_name": "History"}, "history_messages_key='History'"),
    ],
)
def test_what_cannot_be_used(options: dict[str, Any], said: str) -> None:
    """Whoever makes them: also by a change of others."""
    with pytest.raises(InvalidInputError, match=said):
        Options(**{"table_name": "Table", **options})
    with pytest.raises(InvalidInputError, match=said):
        dataclasses.replace(Options("Table"), **options)


def test_options_do_not_change() -> None:
    """Repositories share them between threads."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options("Table").ttl = 5  # type: ignore[misc]


def test_the_times_of_the_protocol() -> None:
    """A lease is three seconds from the last sign of life, given every second; three lost races take one (rule 3)."""
    timing = Timing()
    assert (timing.lease, timing.renew, timing.races, timing.patience) == (3.0, 1.0, 3, 30.0)
