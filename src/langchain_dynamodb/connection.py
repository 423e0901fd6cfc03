"""Clients, one per process, event loop and settings, and the one place that translates AWS's errors.

A client belongs to the event loop it was made on. It is made by the first call on that loop, shared by every
`Connection` with equal settings, and ends with the last of them that is closed there or with the loop itself:
an async generator holds it open, and `loop.shutdown_asyncgens()` (which asyncio.run, asyncio.Runner, uvicorn
and pytest-asyncio call) finishes that. Whoever drives a loop by hand calls `aclose()` or `shutdown_asyncgens()`
before `loop.close()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import AsyncGenerator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NoReturn
from zlib import crc32

import aioboto3
import aiobotocore
import boto3.session
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import get_session
from aiohttp import ClientConnectorError
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    DataNotFoundError,
    EndpointConnectionError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
)
from botocore.loaders import Loader

from .errors import (
    AccessDeniedError,
    InvalidInputError,
    RepositoryClosedError,
    SettingsError,
    StorageError,
    TableNotFoundError,
    ThrottledError,
)

# The default timeouts of a minute are for uploads; a DynamoDB call takes milliseconds. A fixed user agent is not
# rebuilt at every call, and requests made only by our own code need no validation (0.83 and 0.85 of the time).
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 10,
    "max_pool_connections": 50,
    "parameter_validation": False,
    "retries": {"mode": "standard"},
    "user_agent": f"langchain-dynamodb aiobotocore/{aiobotocore.__version__}",
}
_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NO_CREDENTIALS = (CredentialRetrievalError, NoCredentialsError, PartialCredentialsError, ProfileNotFound)
_NEVER_ARRIVED = (ConnectTimeoutError, ProxyConnectionError, SSLError)


class ConditionFailed(Exception):
    """The condition of a write did not hold; an answer to act on, never shown to a user.

    `item` is the item that failed it, where the engine returns it. `retried` means that an earlier attempt of this
    very call may have been applied, so that the condition may have failed because of that one.
    """

    def __init__(self, item: dict[str, Any] | None, *, retried: bool) -> None:
        super().__init__("the condition did not hold")
        self.item = item
        self.retried = retried


@dataclass(frozen=True, eq=False)
class ConnectionSettings:
    """What a client is made from; `config` is merged over our own defaults.

    Equal settings share a client: AWS sessions are compared by identity, a config by its options.
    """

    endpoint_url: str | None = None
    region_name: str | None = None
    aws_session: boto3.session.Session | None = None
    config: Config | None = None
    _key: tuple[object, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name, kind, wanted in (
            ("endpoint_url", str, "a URL such as 'http://localhost:8000'"),
            ("region_name", str, "a region such as 'us-east-1'"),
            ("aws_session", boto3.session.Session, "a boto3 or aioboto3 Session"),
            ("config", Config, "a botocore Config"),
        ):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, kind) and value):
                raise InvalidInputError(f"{name} must be {wanted} or None, not {value!r}")
        options = vars(self.config).items() if self.config is not None else ()
        shown = tuple(sorted((name, repr(value)) for name, value in options if not name.startswith("_")))
        object.__setattr__(self, "_key", (self.endpoint_url, self.region_name, self.aws_session, shown))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConnectionSettings) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


class Connection:
    """Calls DynamoDB through the shared client of the running loop."""

    def __init__(self, settings: ConnectionSettings) -> None:
        """Open nothing; the first call on a loop does."""
        self.settings = settings
        self._closed = False

    async def call(
        self, operation: str, request: Mapping[str, Any], *, write: bool = False, once: bool = False
    ) -> dict[str, Any]:
        """Make one request, such as ``"update_item"``, and return DynamoDB's response.

        `write` says whether an answer that never came leaves the outcome unknown. With `once`, the SDK does not send
        it again after that: the `StorageError` of unknown outcome comes at once.

        Raises `ConditionFailed`, `StorageError` and its subclasses, `RepositoryClosedError`, and
        `SettingsError` where no client can be made from the settings.
        """
        if self._closed:
            raise RepositoryClosedError("This repository was closed by aclose(); make a new one.")
        shared = self._join()
        client = await shared.ready()
        attempts = _Attempts(shared, once)
        token = _current.set(attempts)
        try:
            response: dict[str, Any] = await getattr(client, operation)(**request)
        except Exception as error:
            _fail(error, attempts, operation, request, write)  # always raises
        finally:
            _current.reset(token)
        if attempts.corrupt:
            raise StorageError("The response was damaged on the way or is not DynamoDB's.", outcome_unknown=write)
        return response

    async def aclose(self) -> None:
        """Let go of the clients; one that nobody else holds is closed if it belongs to the running loop.

        A client of another loop stays open for that loop's next user, and ends with the loop.
        """
        self._closed = True
        running = asyncio.get_running_loop()
        for place, shared in list(_clients.items()):
            if self in shared.holders:
                shared.holders.discard(self)
                if place[0] is running and not shared.holders:
                    await shared.close()

    def _join(self) -> _SharedClient:
        place = asyncio.get_running_loop(), self.settings
        shared = _clients.get(place)
        if shared is None or shared.closed:
            _close_unused(place[0])
            shared = _clients[place] = _SharedClient(place)
        shared.holders.add(self)
        return shared


_Place = tuple[asyncio.AbstractEventLoop, ConnectionSettings]


class _SharedClient:
    """One client, made on the running loop."""

    def __init__(self, place: _Place) -> None:
        self.holders: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.closed = False
        self._place = place
        self._settings = place[1]
        self._pid = os.getpid()
        self._stack = contextlib.AsyncExitStack()
        self._lifetime = self._until_the_loop_ends()
        self._opening = place[0].create_task(self._open())
        self._opening.add_done_callback(self._opened)

    async def ready(self) -> Any:
        """Return the client; however many wait, it is made once, also when some of them are cancelled."""
        if not self._opening.done():
            await asyncio.wait([self._opening])
        try:
            return self._opening.result()
        except Exception as error:
            raise _opening_error(error, self._settings) from error

    async def close(self) -> None:
        """Close the client, unless the loop's end is doing that."""
        if self.closed:
            return
        self._leave()
        if not self._opening.done():
            await asyncio.wait([self._opening])
        await self._stack.aclose()
        await self._lifetime.aclose()

    async def _open(self) -> Any:
        session, region = await _aio_session(self._settings)
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                session.client(
                    "dynamodb",
                    region_name=region,
                    endpoint_url=self._settings.endpoint_url,
                    config=_merged_config(self._settings.config),
                )
            )
            client.meta.events.register("before-send.dynamodb", _attempt_begins)
            client.meta.events.register("needs-retry.dynamodb", _attempt_ended)
            await anext(self._lifetime)
            self._stack = stack.pop_all()
        return client

    def _opened(self, opening: asyncio.Task[Any]) -> None:
        # A failure is every waiting caller's to report (there may be none left); the next call tries anew.
        if opening.cancelled() or opening.exception() is not None:
            self._leave()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._leave()
            if os.getpid() == self._pid:  # else the sockets are the parent's
                await self._stack.aclose()

    def _leave(self) -> None:
        self.closed = True
        if _clients.get(self._place) is self:
            del _clients[self._place]


_clients: dict[_Place, _SharedClient] = {}
_closing: set[asyncio.Task[None]] = set()
_inherited: list[object] = []


def _close_unused(running: asyncio.AbstractEventLoop) -> None:
    """Before a new client is made, end those whose connections were all dropped, and forget loops that were closed."""
    for place, shared in list(_clients.items()):
        if place[0].is_closed():
            _clients.pop(place, None)
        elif place[0] is running and not shared.holders:
            del _clients[place]
            task = running.create_task(shared.close())
            _closing.add(task)
            task.add_done_callback(_closing.discard)


def _leave_to_parent() -> None:
    # Kept, not dropped: a destructor would take the parent's sockets out of the epoll object both processes share.
    _inherited.append(dict(_clients))
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _merged_config(config: Config | None) -> AioConfig:
    given = config or Config()
    # Merged one by one: a caller who sets only the number of attempts would get botocore's oldest mode, which repeats
    # DynamoDB's calls without jitter. And a copy, since botocore writes into it.
    retries: Any = {**_DEFAULTS["retries"], **(getattr(given, "retries", None) or {})}
    merged = AioConfig(**_DEFAULTS).merge(given).merge(Config(retries=retries))
    for name in ("connector_args", "http_session_cls"):  # AioConfig's own, which its merge drops
        if hasattr(given, name):
            setattr(merged, name, getattr(given, name))
    return merged


async def _aio_session(settings: ConnectionSettings) -> tuple[aioboto3.Session, str | None]:
    if isinstance(settings.aws_session, aioboto3.Session):
        await asyncio.to_thread(_read_config_files, settings.aws_session)
        return settings.aws_session, settings.region_name
    return await asyncio.to_thread(_new_session, settings.aws_session, settings.region_name)


def _new_session(given: boto3.session.Session | None, region: str | None) -> tuple[aioboto3.Session, str | None]:
    """Make an asynchronous session with region, profile and credentials of `given`; blocking I/O."""
    botocore_session = get_session()
    botocore_session.register_component("data_loader", _service_descriptions())
    if given is None:
        session = aioboto3.Session(botocore_session=botocore_session)
        _read_config_files(session)
        return session, region
    profile = None if given.profile_name == "default" else given.profile_name
    session = aioboto3.Session(botocore_session=botocore_session, profile_name=profile)
    _read_config_files(session)
    credentials = given.get_credentials()
    if credentials is not None:
        providers = botocore_session.get_component("credential_provider").providers
        providers.insert(0, _BorrowedProvider(credentials))
    return session, region or given.region_name


def _read_config_files(session: boto3.session.Session) -> None:
    """Let botocore read ``~/.aws`` here and now: it remembers what is there."""
    with contextlib.suppress(BotoCoreError):  # told by whoever needs something that is there
        _ = session.available_profiles


@cache
def _service_descriptions() -> Loader:
    """Read, once per process and off the event loop, the files that a client is made from (50 to 200 ms)."""
    loader: Loader = get_session().get_component("data_loader")
    with contextlib.suppress(DataNotFoundError):
        for kind in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model("dynamodb", kind, api_version=None)  # cached by its arguments, as botocore's call
        for name in ("partitions", "endpoints", "sdk-default-configuration", "_retry"):
            loader.load_data(name)
    return loader


class _BorrowedProvider:
    METHOD = CANONICAL_NAME = "boto3-session"

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def load(self) -> AioCredentials:
        frozen = await asyncio.to_thread(self._credentials.get_frozen_credentials)
        return _BorrowedCredentials(self._credentials, frozen)


class _BorrowedCredentials(AioCredentials):  # type: ignore[misc]
    """A synchronous session's credentials, which go on refreshing themselves (in a thread: that is blocking I/O)."""

    def __init__(self, source: Credentials, frozen: Any) -> None:
        super().__init__(frozen.access_key, frozen.secret_key, frozen.token, method=_BorrowedProvider.METHOD)
        self.account_id = getattr(frozen, "account_id", None)
        self._source = source

    async def get_frozen_credentials(self) -> Any:
        refresh_needed = getattr(self._source, "refresh_needed", None)
        if refresh_needed is not None and refresh_needed():
            return await asyncio.to_thread(self._source.get_frozen_credentials)
        return self._source.get_frozen_credentials()


class _Attempts:
    """What became of the attempts that botocore made for one call."""

    __slots__ = ("client", "corrupt", "ended", "maybe_applied", "once", "sent")

    def __init__(self, client: _SharedClient, once: bool) -> None:
        # Weak: timers of the event loop keep the context of a finished call, and so this, until they would be due.
        self.client = weakref.ref(client)
        self.once = once
        self.sent = self.ended = 0
        self.maybe_applied = self.corrupt = False

    @property
    def outcome_unknown(self) -> bool:
        """True where an attempt may have reached DynamoDB and was not refused by it."""
        return self.maybe_applied or self.sent > self.ended


class _NotAgain(Exception):
    """No answer came to a request that must be sent only once."""


_current: ContextVar[_Attempts] = ContextVar("langchain_dynamodb_attempts")


def _attempt_begins(**_: object) -> None:
    attempts = _current.get()
    client = attempts.client()
    if client is None or client.closed:  # aiobotocore would open a session here that nobody closes
        raise RepositoryClosedError("The repository or the event loop was closed during this call.")
    if attempts.once and attempts.maybe_applied:
        raise _NotAgain("no answer came to a request that must be sent only once.")
    attempts.sent += 1


async def _attempt_ended(response: Any, caught_exception: Exception | None, **_: object) -> None:
    attempts = _current.get()
    attempts.ended = attempts.sent
    if response is None:
        attempts.maybe_applied |= not _never_arrived(caught_exception)
        return
    http = response[0]
    attempts.maybe_applied |= not 400 <= http.status_code < 500
    # botocore checks this too, but returns the last attempt as it is, and takes a proxy's page for an empty success.
    content = await http.content
    checksum = http.headers.get("x-amz-crc32", str(crc32(content)))
    attempts.corrupt = checksum != str(crc32(content)) or not (content[:1] == b"{" and content[-1:] == b"}")


def _never_arrived(error: Exception | None) -> bool:
    if isinstance(error, EndpointConnectionError):  # also raised for a connection lost after sending
        return isinstance(error.kwargs.get("error"), ClientConnectorError)
    return isinstance(error, (RepositoryClosedError, *_NEVER_ARRIVED))


def _fail(error: Exception, attempts: _Attempts, operation: str, request: Mapping[str, Any], write: bool) -> NoReturn:
    unknown = write and attempts.outcome_unknown
    if isinstance(error, ClientError):
        raise _refusal(error, attempts.maybe_applied, unknown, _table(request)) from error
    if isinstance(error, _NO_CREDENTIALS):
        raise _no_credentials(error, unknown) from error
    if isinstance(error, RepositoryClosedError) and not unknown:
        raise error
    if isinstance(error, BotoCoreError) or attempts.sent:
        action = "".join(part.capitalize() for part in operation.split("_"))
        told = f"{action} on table {_table(request)!r} got no usable answer: {type(error).__name__}: {error} "
        told += "(Does DynamoDB answer at this region or endpoint_url?)"
        raise StorageError(told, outcome_unknown=unknown) from error
    raise error  # nothing was sent: the request itself is wrong


def _table(request: Mapping[str, Any]) -> str | None:
    return request.get("TableName") or next(iter(request.get("RequestItems", {})), None)


def _refusal(error: ClientError, retried: bool, unknown: bool, table: str | None) -> Exception:
    response: Mapping[str, Any] = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(response.get("Item"), retried=retried)
    facts: dict[str, Any] = {"code": code, "outcome_unknown": unknown}
    if code == "ResourceNotFoundException":
        return TableNotFoundError(
            f"There is no table {table!r} in this account and region. Check table_name, region_name and "
            "endpoint_url, or create it: `sessions.create_table()` of a (with `await`: Async)SessionRepository.",
            **facts,
        )
    if code in _DENIED:
        return AccessDeniedError(
            f"AWS refused {error.operation_name} on table {table!r} ({code}). Check that the credentials are valid "
            f"and that their policy allows dynamodb:{error.operation_name} on this table.",
            **facts,
        )
    if code in _THROTTLED:
        return ThrottledError(
            f"DynamoDB throttled {error.operation_name} on table {table!r} through all retries ({code}). "
            "Retry later, raise the table's capacity or pass config= with more retries.",
            **facts,
        )
    return StorageError(f"{error.operation_name} on table {table!r} failed: {error}", **facts)


def _no_credentials(error: Exception, unknown: bool = False) -> AccessDeniedError:
    return AccessDeniedError(f"{error} (set up AWS credentials or pass aws_session=)", outcome_unknown=unknown)


def _opening_error(error: Exception, settings: ConnectionSettings) -> Exception:
    if isinstance(error, NoRegionError):
        return SettingsError("No AWS region is configured: pass region_name= or set AWS_DEFAULT_REGION.")
    if isinstance(error, _NO_CREDENTIALS):
        return _no_credentials(error)
    if isinstance(error, InvalidRegionError):
        return SettingsError(f"No client could be made for region_name={settings.region_name!r}: {error}")
    if isinstance(error, (BotoCoreError, ClientError)):
        return StorageError(f"No client could be made: {error}")
    if isinstance(error, ValueError):
        return SettingsError(f"No client could be made for endpoint_url={settings.endpoint_url!r}: {error}")
    return error
