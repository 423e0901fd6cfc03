"""What a client is made from: settings, an AWS session with its credentials, and the SDK's own files."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import aioboto3
import aiobotocore
import boto3
import boto3.session
import botocore.session
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession, get_session
from boto3.resources.base import ResourceMeta
from botocore.client import ClientMeta
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, DataNotFoundError, ProfileNotFound
from botocore.loaders import Loader

from .._threads import off_loop
from ..errors import InvalidInputError

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


# What S3 differs in. Bodies are large, and no hash of them is made on the event loop: each comes with a SHA-256 that S3
# checks, and that is signed, and what is read is checked by its reader.
_OF_S3: dict[str, Any] = {
    "read_timeout": 60,
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "s3": {"payload_signing_enabled": False},
}


@dataclass(frozen=True, eq=False)
class ConnectionSettings:
    """What a client is made from; `config` is merged over our own defaults.

    Equal settings share a client: AWS sessions are compared by identity, a config by its options.
    """

    endpoint_url: str | None = None
    region_name: str | None = None
    aws_session: boto3.session.Session | None = None
    config: Config | None = None
    service: str = "dynamodb"
    key: tuple[object, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_aws_session(self.aws_session)
        for name, kind, wanted in (
            ("endpoint_url", str, "a URL such as 'http://localhost:8000'"),
            ("region_name", str, "a region such as 'us-east-1'"),
            ("config", Config, "a botocore Config"),
        ):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, kind) and value):
                raise InvalidInputError(f"{name} must be {wanted} or None, not {value!r}")
        options = vars(self.config).items() if self.config is not None else ()
        shown = tuple(sorted((name, repr(value)) for name, value in options if not name.startswith("_")))
        object.__setattr__(self, "key", (self.endpoint_url, self.region_name, self.aws_session, shown, self.service))

    def __deepcopy__(self, memo: object) -> ConnectionSettings:
        return self  # nothing in it changes

    def __reduce__(self) -> tuple[type[ConnectionSettings], tuple[object, ...]]:
        if self.aws_session is not None:
            raise TypeError(
                "an AWS session, which may hold credentials, does not travel to other processes: pickle a repository "
                "that was made without it (there the credentials are looked for anew), or make one where it is used"
            )
        return ConnectionSettings, (self.endpoint_url, self.region_name, None, self.config, self.service)

    @property
    def shown(self) -> dict[str, str]:
        """Names and reprs of what was given: neither a session nor a config, nor a password in the URL."""
        url = self.endpoint_url and re.sub("//.*@", "//***@", self.endpoint_url)
        given = {"endpoint_url": url, "region_name": self.region_name}
        return {name: repr(value) for name, value in given.items() if value is not None}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConnectionSettings) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def check_aws_session(session: object, option: str = "aws_session") -> None:
    """Raise `InvalidInputError` for what is no session, and say what to pass. It is not shown: it may hold keys."""
    kinds = type(session).__mro__  # isinstance would believe a mock that was told to look like a session
    if session is None or boto3.session.Session in kinds:
        return
    told = f"{option} must be a boto3.Session, an aioboto3.Session or None, not a {type(session).__name__}"
    if isinstance(session, AioSession):
        told += f": pass {option}=aioboto3.Session(botocore_session=...)"
    elif isinstance(session, botocore.session.Session):
        told += f": pass {option}=boto3.Session(botocore_session=...)"
    elif session is boto3:
        told += f": pass {option}=boto3.Session(), or leave it out"
    elif isinstance(getattr(session, "meta", None), (ClientMeta, ResourceMeta)):
        told += ", a client or resource: pass the session that it was made from"
    elif hasattr(session, "resource"):
        told += (
            ". Only region and credentials are taken from it, its resource() is never called, so that a stand-in for "
            "boto3 has no effect: for tests use langchain_dynamodb.local.run_engine() or its pytest fixtures"
        )
    raise InvalidInputError(told)


def profile_session(name: str) -> aioboto3.Session:
    """A session with the profile of this name in the SDK's own files; raises `InvalidInputError` where there is none.

    It reads files.
    """
    try:
        return aioboto3.Session(profile_name=name)
    except ProfileNotFound as error:
        raise InvalidInputError(f"profile {name!r}: {error}") from error


def merged_config(config: Config | None, service: str = "dynamodb") -> AioConfig:
    """The caller's options over our own."""
    given = config or Config()
    ours = {**_DEFAULTS, **(_OF_S3 if service == "s3" else {})}
    # Merged one by one: a caller who sets only the number of attempts would get botocore's oldest mode, which repeats
    # DynamoDB's calls without jitter. And a copy, since botocore writes into it.
    retries: Any = {**_DEFAULTS["retries"], **(getattr(given, "retries", None) or {})}
    merged = AioConfig(**ours).merge(given).merge(Config(retries=retries))
    for name in ("connector_args", "http_session_cls"):  # AioConfig's own, which its merge drops
        if hasattr(given, name):
            setattr(merged, name, getattr(given, name))
    return merged


async def aio_session(settings: ConnectionSettings) -> tuple[aioboto3.Session, str | None]:
    """The session to make a client from, and its region; reads files in a thread."""
    if isinstance(settings.aws_session, aioboto3.Session):
        await off_loop(partial(_read_config_files, settings.aws_session))
        return settings.aws_session, settings.region_name
    return await off_loop(partial(_new_session, settings.aws_session, settings.region_name, settings.service))


def _new_session(
    given: boto3.session.Session | None, region: str | None, service: str
) -> tuple[aioboto3.Session, str | None]:
    """Make an asynchronous session with region, profile and credentials of `given`; blocking I/O."""
    botocore_session = get_session()
    botocore_session.register_component("data_loader", service_descriptions(service))
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
def service_descriptions(service: str = "dynamodb") -> Loader:
    """Read, once per process and off the event loop, the files that a client is made from (50 to 200 ms)."""
    loader: Loader = get_session().get_component("data_loader")
    with contextlib.suppress(DataNotFoundError):
        for kind in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model(service, kind, api_version=None)  # cached by its arguments, as botocore's call
        for name in ("partitions", "endpoints", "sdk-default-configuration", "_retry"):
            loader.load_data(name)
    return loader


class _BorrowedProvider:
    METHOD = CANONICAL_NAME = "boto3-session"

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def load(self) -> AioCredentials:
        frozen = await off_loop(self._credentials.get_frozen_credentials)
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
            return await off_loop(self._source.get_frozen_credentials)
        return self._source.get_frozen_credentials()
