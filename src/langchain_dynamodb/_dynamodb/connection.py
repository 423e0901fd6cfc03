"""Clients, one per process, event loop and settings: the one place that talks to AWS.

A client belongs to the event loop it was made on. It is made by the first call on that loop, shared by every
`Connection` with equal settings, and ends with the last of them that is closed there or with the loop itself:
an async generator holds it open, and `loop.shutdown_asyncgens()` (which asyncio.run, asyncio.Runner, uvicorn
and pytest-asyncio call) finishes that. Whoever drives a loop by hand calls `aclose()` or `shutdown_asyncgens()`
before `loop.close()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any
from zlib import crc32

from .._checks import running_loop
from .._threads import off_loop
from ..errors import RepositoryClosedError, StorageError
from ..observers import Request
from ..observers import current as observed_here
from . import wire
from .capacity import metered, units
from .client_settings import ConnectionSettings, aio_session, merged_config
from .failures import (
    ConditionFailed,
    action_of,
    call_error,
    keeps_failing,
    key_error,
    never_arrived,
    object_error,
    opening_error,
    table_of,
)


class Connection:
    """Calls DynamoDB (or KMS or S3, as the settings say) through the shared client of the running loop."""

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
        attempts, operation_here = _Attempts(once), observed_here.get()
        if operation_here is None:
            return await self._send(operation, request, write, attempts)
        asked = metered(operation, request)
        told = Request(action_of(operation), self.settings.service, table_of(request), time.time_ns())
        began = time.perf_counter()
        response: dict[str, Any] = {}
        failure: BaseException | None = None
        try:
            response = await self._send(operation, asked, write, attempts)
        except BaseException as error:
            failure = error
            raise
        finally:
            told.seconds = time.perf_counter() - began
            told.attempts, told.endpoint, told.region = attempts.sent, attempts.endpoint, attempts.region
            told.read_units, told.write_units = units(operation, request, response, failure)
            told.refused = isinstance(failure, ConditionFailed)
            told.error = None if told.refused else failure
            told.request_id = attempts.request_id
            operation_here.add(told)
        return response

    async def _send(
        self, operation: str, request: Mapping[str, Any], write: bool, attempts: _Attempts
    ) -> dict[str, Any]:
        shared = self._join()
        client = await shared.ready()
        attempts.use(shared, client)
        token = _current.set(attempts)
        try:
            if shared.plain and operation in wire.OPERATIONS:
                attempts.body = wire.encode(request)
            sent = request if attempts.body is None else wire.only_tables(request)
            response: dict[str, Any] = await getattr(client, operation)(**sent)
            attempts.answered(response)
        except Exception as error:
            attempts.answered(getattr(error, "response", None))
            if keeps_failing(error) and not shared.used:
                shared.retire()
            told = self._told(
                error,
                operation,
                request,
                asking=attempts.asking,
                sent=attempts.sent > 0,
                retried=attempts.maybe_applied,
                unknown=write and attempts.outcome_unknown,
            )
            if told is error:
                raise
            raise told from error
        finally:
            _current.reset(token)
        if attempts.corrupt:
            raise StorageError("The response was damaged on the way or is not DynamoDB's.", outcome_unknown=write)
        return response

    @property
    def _told(self) -> Callable[..., Exception]:
        return _TELLING.get(self.settings.service, call_error)

    async def place(self) -> tuple[str, str]:
        """Endpoint and region that it calls, wherever they were set; raises `SettingsError` where that is nowhere."""
        client = await self._join().ready()
        return client.meta.endpoint_url, client.meta.region_name

    def __reduce__(self) -> tuple[type[Connection], tuple[ConnectionSettings]]:
        return Connection, (self.settings,)  # wherever it goes, the next call finds or makes a client

    def reopen(self) -> None:
        """Take calls (again): after `aclose` too, the next one finds or makes a client."""
        self._closed = False

    async def aclose(self) -> None:
        """Let go of the clients; one that nobody else holds is closed if it belongs to the running loop.

        A client of another loop stays open for that loop's next user, and ends with the loop.
        """
        self._closed = True
        running = running_loop()
        for place, shared in list(_clients.items()):
            if self in shared.holders:
                shared.holders.discard(self)
                if place[0] is running and not shared.holders:
                    await shared.close()

    def _join(self) -> _SharedClient:
        if self._closed:
            raise RepositoryClosedError(
                "This repository was closed by aclose() or close(): make a new one, or enter this one again "
                "(async with, with)."
            )
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = running_loop()  # which says why
        place = loop, self.settings.key
        shared = _clients.get(place)
        if shared is None or shared.closed:
            _close_unused(place[0])
            shared = _clients[place] = _SharedClient(place, self.settings)
        shared.holders.add(self)
        return shared


_TELLING: dict[str, Callable[..., Exception]] = {"kms": key_error, "s3": object_error}

_Place = tuple[asyncio.AbstractEventLoop, tuple[object, ...]]


class _SharedClient:
    """One client, made on the running loop."""

    def __init__(self, place: _Place, settings: ConnectionSettings) -> None:
        self.holders: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.closed = False
        self.used = False  # has sent something, and so once found credentials
        self._place = place
        self._settings = settings
        self._config = merged_config(settings.config, settings.service)
        # Who asks for the SDK's validation gets its whole way.
        self.plain = settings.service == "dynamodb" and not self._config.parameter_validation
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
            told = opening_error(error, self._settings.region_name, self._settings.endpoint_url)
            if told is error:
                raise
            raise told from error

    def retire(self) -> None:
        """Let the next call make another client, and close this one, which nobody uses (or not with success)."""
        if _clients.get(self._place) is self:
            del _clients[self._place]
            _close_soon(self)

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
        session, region = await aio_session(self._settings)
        service = self._settings.service
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                session.client(
                    service,
                    region_name=region,
                    endpoint_url=self._settings.endpoint_url,
                    config=self._config,
                )
            )
            client.meta.events.register(f"before-endpoint-resolution.{service}", _account_is_asked_for)
            client.meta.events.register(f"before-sign.{service}", _credentials_are_asked_for)
            if self.plain:
                client.meta.events.register("before-call.dynamodb", _body_is_made)
            client.meta.events.register(f"before-send.{service}", _attempt_begins)
            if service != "s3":  # whose answers may be objects, which whoever asked reads
                client.meta.events.register(f"before-parse.{service}", _answer_came)
            client.meta.events.register(f"needs-retry.{service}", _attempt_ended)
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
            shared.retire()


def _close_soon(shared: _SharedClient) -> None:
    task = asyncio.get_running_loop().create_task(shared.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def _leave_to_parent() -> None:
    # Kept, not dropped: a destructor would take the parent's sockets out of the epoll object both processes share.
    _inherited.append(dict(_clients))
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


class _Attempts:
    """What became of the attempts that botocore made for one call."""

    __slots__ = (
        "asking",
        "body",
        "client",
        "corrupt",
        "ended",
        "endpoint",
        "maybe_applied",
        "once",
        "region",
        "request_id",
        "sent",
    )

    def __init__(self, once: bool) -> None:
        self.client: Callable[[], _SharedClient | None] = _no_client
        self.endpoint: str | None = None
        self.region: str | None = None
        self.request_id: str | None = None
        self.body: bytes | None = None  # unless the SDK makes it, and reads the answer
        self.once = once
        self.sent = self.ended = 0
        self.asking = self.maybe_applied = self.corrupt = False

    def use(self, shared: _SharedClient, client: Any) -> None:
        """Go by this client."""
        # Weak: timers of the event loop keep the context of a finished call, and so this, until they would be due.
        self.client = weakref.ref(shared)
        self.endpoint, self.region = client.meta.endpoint_url, client.meta.region_name

    def answered(self, response: Any) -> None:
        """Note how AWS calls the request."""
        told = response.get("ResponseMetadata") if isinstance(response, dict) else None
        self.request_id = told.get("RequestId") if isinstance(told, dict) else None

    @property
    def outcome_unknown(self) -> bool:
        """True where an attempt may have reached DynamoDB and was not refused by it."""
        return self.maybe_applied or self.sent > self.ended


def _no_client() -> None:
    """None was chosen yet."""


class _NotAgain(Exception):
    """No answer came to a request that must be sent only once."""


_current: ContextVar[_Attempts] = ContextVar("langchain_dynamodb_attempts")


def _account_is_asked_for(builtins: dict[str, Any], **_: object) -> None:
    # The account, a part of AWS's endpoints, comes with the credentials, which are obtained for it where need be.
    ask = builtins.get("AWS::Auth::AccountId")
    if callable(ask):
        builtins["AWS::Auth::AccountId"] = partial(_ask, ask)


async def _ask(source: Callable[[], Any]) -> Any:
    attempts = _current.get()
    attempts.asking = True
    answer = source()
    if inspect.isawaitable(answer):
        answer = await answer
    attempts.asking = False
    return answer


def _credentials_are_asked_for(**_: object) -> None:
    _current.get().asking = True


def _body_is_made(params: dict[str, Any], **_: object) -> None:
    body = _current.get().body
    if body is not None:
        params["body"] = body


async def _answer_came(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    attempts, body = _current.get(), response_dict["body"]
    # botocore checks this too, but returns the last attempt as it is, and takes a proxy's page for an empty success.
    checksum = response_dict["headers"].get("x-amz-crc32")
    damaged = checksum is not None and checksum != str(crc32(body))
    attempts.corrupt = damaged or not (body[:1] == b"{" and body[-1:] == b"}")
    if attempts.corrupt or attempts.body is None:
        return
    answer = await off_loop(partial(wire.decode, body)) if len(body) > wire.MANY_BYTES else wire.decode(body)
    if answer is None:
        return
    if response_dict["status_code"] < 300:
        customized_response_dict.update(answer)
        response_dict["body"] = b"{}"
    elif "Item" in answer:  # what was in the way; the rest of an error is the SDK's
        customized_response_dict["Item"] = answer.pop("Item")
        response_dict["body"] = wire.encode(answer)


def _attempt_begins(**_: object) -> None:
    attempts = _current.get()
    attempts.asking = False
    client = attempts.client()
    if client is None or client.closed:  # aiobotocore would open a session here that nobody closes
        raise RepositoryClosedError("The repository or the event loop was closed during this call.")
    if attempts.once and attempts.maybe_applied:
        raise _NotAgain("no answer came to a request that must be sent only once.")
    client.used = True
    attempts.sent += 1


def _attempt_ended(response: Any, caught_exception: Exception | None, **_: object) -> None:
    attempts = _current.get()
    attempts.ended = attempts.sent
    if response is None:
        attempts.maybe_applied |= not never_arrived(caught_exception)
    else:
        attempts.maybe_applied |= not 400 <= response[0].status_code < 500
