"""Keys and indexes: which a user may declare, what DynamoDB is told, and what its description says."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_dynamodb import Index
from langchain_dynamodb.errors import InvalidInputError

BY_USER = Index("by_user", hash_key="user", include=["topic"])

# --- Declared ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "x"}, "index name 'x' must be 3 to 255"),
        ({"name": "by user"}, "index name 'by user'"),
        ({"name": 7}, "index name 7"),
        ({"hash_key": ""}, "attribute name ''"),
        ({"hash_key": "lc_version"}, "'lc_version'"),
        ({"range_key": "lc_version"}, "'lc_version'"),
        ({"range_key": "user"}, "both 'user'"),
        ({"hash_type": "SS"}, "type 'SS' of a key must be 'S', 'N' or 'B'"),
        ({"include": "topic"}, "include='topic' must be a list"),
        ({"include": ["lc_tail_ops"]}, "'lc_tail_ops'"),
    ],
)
def test_bad_indexes(arguments: dict[str, Any], said: str) -> None:
    """An index that cannot be is refused where it is declared."""
    with pytest.raises(InvalidInputError, match=said):
        Index(**{"name": "by_user", "hash_key": "user", **arguments})
