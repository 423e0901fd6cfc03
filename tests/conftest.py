"""The engine the tests run on, and one table per test."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import certifi
import pytest
from botocore.retries.standard import ExponentialBackoff
from hypothesis import HealthCheck, settings

from langchain_dynamodb import AsyncSessionRepository, SessionRepository
from langchain_dynamodb._dynamodb.client_settings import ConnectionSettings
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._store.options import Timing
from langchain_dynamodb.local import ENGINES, Engine, run_engine
from scripted_server import Server
from support import Clock, with_options

# Fresh examples at every run; one that fails is shown with what repeats it. Deadlines would test the machine.
# ``--hypothesis-profile thorough`` looks ten times as hard.
settings.register_profile(
    "default", max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("default"), max_examples=20)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=1000)
settings.load_profile("default")

END = "-----END CERTIFICATE-----\n"
TableFactory = Callable[..., str]

# The background jobs of a shell inherit that Ctrl+C is ignored, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class TestEngine:
    """What the tests talk to; `endpoint_url` is None and `connection` empty on AWS itself."""

    __test__ = False

    name: str
    endpoint_url: str | None
    connection: dict[str, str]
    environment: dict[str, str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of engine."""
    group = parser.getgroup("langchain-dynamodb")
    group.addoption(
        "--engine",
        choices=[*ENGINES, "aws"],
        default="moto",
        help="moto (default); dynamodb-local (fetches AWS's own engine once); aws (your account, costs money)",
    )
    group.addoption("--endpoint-url", help="an engine that is running already, instead of starting one")
    group.addoption("--seed", type=int, help="of the first chaos round, to repeat one that failed (default: any)")
    group.addoption("--rounds", type=int, default=3, help="chaos rounds of each kind (default: 3)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what the chosen engine cannot answer, and mark what asks one."""
    engine = config.getoption("--engine")
    for item in items:
        real = item.get_closest_marker("real_engine") or item.get_closest_marker("dynamodb_local_only")
        if real or "engine" in getattr(item, "fixturenames", ()):
            item.add_marker("engine")
        if engine == "moto" and item.get_closest_marker("real_engine"):
            item.add_marker(pytest.mark.skip(reason="for a real engine: --engine dynamodb-local"))
        if engine != "dynamodb-local" and item.get_closest_marker("dynamodb_local_only"):
            item.add_marker(pytest.mark.skip(reason="only DynamoDB Local answers this: --engine dynamodb-local"))


def pytest_collection_finish() -> None:
    """Let the collector look through what a test made, not each time through all that was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[TestEngine]:
    """Run the chosen engine, once per test run."""
    name: str = request.config.getoption("--engine")
    endpoint_url: str | None = request.config.getoption("--endpoint-url")
    if name == "aws":
        yield TestEngine(name, None, {}, {})
    elif endpoint_url is not None:
        yield _as_test_engine(Engine(name, endpoint_url))
    else:
        with run_engine(name) as started:
            yield _as_test_engine(started)


def _as_test_engine(engine: Engine) -> TestEngine:
    return TestEngine(engine.name, engine.endpoint_url, engine.connection, engine.environment)


@pytest.fixture(scope="session", autouse=True)
def aws_environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give every client the engine's credentials and region, and nothing of the developer's own (except on AWS).

    The endpoint is left out, so that a test fails whose `endpoint_url` is not passed on.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("--engine") != "aws":
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            environment = Engine("moto", "unused").environment
            del environment["AWS_ENDPOINT_URL_DYNAMODB"]
            environment |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
            # Every client loads the trusted certificates, 50 ms for all of them; no engine here has any.
            one_certificate = tmp_path_factory.mktemp("certificates") / "one.pem"
            one_certificate.write_text(Path(certifi.where()).read_text().partition(END)[0] + END)
            environment |= {"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_CA_BUNDLE": str(one_certificate)}
            for name, value in environment.items():
                patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def dynamodb(engine: TestEngine, aws_environment: None) -> Iterator[Any]:
    """A plain boto3 client, for tests that look at what is stored or do what others do."""
    client = boto3.client("dynamodb", **engine.connection)
    yield client
    client.close()


@pytest.fixture
def make_table(engine: TestEngine, dynamodb: Any, request: pytest.FixtureRequest) -> Iterator[TableFactory]:
    """Create tables by hand, as langchain_community's page does: ``make_table("PK", "SK")``; returns the table's name.

    A key attribute is a name, or a name and a type other than S: ``"number:N"``.
    """
    names: list[str] = []

    def make(hash_key: str = "SessionId", range_key: str | None = None) -> str:
        keys = [key.partition(":") for key in (hash_key, range_key) if key]
        name = f"langchain-dynamodb-test-{uuid.uuid4().hex}"
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": keys[i][0], "KeyType": ("HASH", "RANGE")[i]} for i in range(len(keys))],
            AttributeDefinitions=[{"AttributeName": key[0], "AttributeType": key[2] or "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        names.append(name)
        if engine.name == "aws" or request.config.getoption("--endpoint-url"):  # ours are ready at once
            dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 600})
        return name

    yield make
    for name in names:
        dynamodb.delete_table(TableName=name)


@pytest.fixture
def table_name(make_table: TableFactory) -> str:
    """A fresh table with the hash key ``SessionId``."""
    return make_table()


@pytest.fixture
def composite_table_name(make_table: TableFactory) -> str:
    """A fresh table with the keys ``PK`` and ``SK``."""
    return make_table("PK", "SK")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What a randomised test begins with; fresh each time unless given."""
    given: int | None = request.config.getoption("--seed")
    return random.SystemRandom().randrange(1_000_000) if given is None else given


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How many rounds of chaos to play."""
    return int(request.config.getoption("--rounds"))


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK send again at once, without its pauses of up to a second."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Run such a server on a free port."""
    scripted = Server()
    listening = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield scripted
    listening.close()


# --- Fixtures that make repositories (they use what the package builds on all this) ---


class RepositoryFactory:
    """Makes repositories, on one table unless another is named: ``make_repository(ttl=60)``."""

    def __init__(self, table_name: str, endpoint_url: str | None) -> None:
        self.table_name = table_name
        self.endpoint_url = endpoint_url
        self.made: list[AsyncSessionRepository] = []
        self.clock: Callable[[], int] | None = None  # of those made from now on; None: the machine's
        self._timing = Timing()

    def __call__(
        self, table: str | None = None, *, timing: Timing | None = None, **options: Any
    ) -> AsyncSessionRepository:
        settings = {"endpoint_url": self.endpoint_url, **options}
        repository = AsyncSessionRepository(self.table_name if table is None else table, **settings)
        repository = with_options(repository, clock=self.clock, timing=timing or self._timing)
        self.made.append(repository)
        return repository

    def set_clock(self) -> Clock:
        """Let those made from now on go by a clock that the test sets."""
        self.clock = clock = Clock()
        return clock

    def wait(self, **times: Any) -> None:
        """Let those made from now on wait for so long: `lease` seconds for others, ... (see `Timing`)."""
        self._timing = replace(self._timing, **times)


@pytest.fixture(scope="module")
async def kept_client(engine: TestEngine, aws_environment: None) -> AsyncIterator[None]:
    """The client that repositories on the engine share, kept open for a module: making one takes longer than a test."""
    connection = Connection(ConnectionSettings(engine.endpoint_url))
    await connection.call("list_tables", {})
    yield
    await connection.aclose()


@pytest.fixture
async def make_repository(engine: TestEngine, table_name: str, kept_client: None) -> AsyncIterator[RepositoryFactory]:
    """Make repositories on one fresh table; they are closed at the end."""
    factory = RepositoryFactory(table_name, engine.endpoint_url)
    yield factory
    for repository in factory.made:
        await repository.aclose()


@pytest.fixture
def sessions(make_repository: RepositoryFactory) -> AsyncSessionRepository:
    """A repository with default settings."""
    return make_repository()


@pytest.fixture
def facade(engine: TestEngine, table_name: str) -> Iterator[SessionRepository]:
    """A synchronous one on the same table."""
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as opened:
        yield opened


@pytest.fixture
def command(engine: TestEngine, table_name: str) -> Any:
    """Runs `langchain-dynamodb` on the same table, as `command_on` says."""
    from command_line import command_on  # which needs the extra

    return command_on(table_name, engine.endpoint_url)
