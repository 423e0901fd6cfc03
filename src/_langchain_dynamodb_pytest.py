"""The pytest plugin: fixtures that run an embedded DynamoDB for your tests.

It lies outside the package on purpose: pytest loads it at every start, in every project, and importing the package
(LangChain, boto) costs about a second. So nothing of it is imported before a fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_dynamodb.local import Engine, EngineName


@pytest.fixture(scope="session")
def langchain_dynamodb_engine_name() -> EngineName:
    """The engine to run: override it to return ``"dynamodb-local"``."""
    return "moto"


@pytest.fixture(scope="session")
def langchain_dynamodb_engine(langchain_dynamodb_engine_name: EngineName) -> Iterator[Engine]:
    """One embedded DynamoDB for the whole test run: ``.endpoint_url``, ``.region_name``, ``.connection``."""
    from langchain_dynamodb.local import run_engine

    with run_engine(langchain_dynamodb_engine_name) as engine:
        yield engine


@pytest.fixture
def langchain_dynamodb_environment(langchain_dynamodb_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """For one test, environment variables that send DynamoDB clients to the embedded engine.

    The application under test needs no change: ``AWS_ENDPOINT_URL_DYNAMODB``, credentials and region are set.
    """
    from langchain_dynamodb.local.engine import FOREIGN_SETTINGS

    for name, value in langchain_dynamodb_engine.environment.items():
        monkeypatch.setenv(name, value)
    for name in FOREIGN_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    return langchain_dynamodb_engine
