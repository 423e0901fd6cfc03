"""Options that all commands have: which table, which settings, how it is told."""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from .._dynamodb.client_settings import profile_session
from .._items.keys import Session
from .._store.vault import Encryption
from ..admin import Run
from ..blobs import S3Blobs
from ..blobs.stores import Blobs
from ..encryption import KmsKeyring, LocalKeyring
from ..errors import InvalidInputError
from ..repository import AsyncSessionRepository

USUAL_NAMES: dict[str, Any] = {
    "primary_key_name": "SessionId",
    "history_messages_key": "History",
    "ttl_key_name": "expireAt",
}
FOREIGN_NAMES: dict[str, dict[str, Any]] = {
    "javascript": {"primary_key_name": "id", "history_messages_key": "messages"},
    "llama-index": {"ttl_key_name": "TTL"},
}
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Settings:
    """What a command is to work on."""

    table: str
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    primary_key_name: str = "SessionId"
    history_messages_key: str = "History"
    ttl_key_name: str = "expireAt"
    kms_key_id: str | None = None
    kms_context: tuple[str, ...] = ()
    local_key_file: tuple[Path, ...] = ()
    bucket: str | None = None
    bucket_prefix: str = ""
    repository: str | None = None
    json: bool = False
    verbose: bool = False

    def open(self, table: str | None = None, **options: Any) -> AsyncSessionRepository:
        """The repository, or one like it on another table; raises `InvalidInputError`."""
        if self.repository is not None and table is None and not options:
            return _made_by(self.repository)
        return AsyncSessionRepository(
            table or self.table,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_session=self._aws_session,
            primary_key_name=self.primary_key_name,
            history_messages_key=self.history_messages_key,
            ttl_key_name=self.ttl_key_name,
            **{**({} if options.get("item_format") == "community" else self._for_pages), **options},
        )

    def elsewhere(
        self, endpoint_url: str | None, region: str | None, bucket: str | None, bucket_prefix: str
    ) -> Settings:
        """The same for another table, which may be at another endpoint or region, and has a bucket of its own.

        Raises `InvalidInputError` for the bucket and prefix of this one: a table's deletions would reach the other's.
        """
        if bucket is not None and (bucket, bucket_prefix) == (self.bucket, self.bucket_prefix):
            raise InvalidInputError(
                f"--to-bucket {bucket!r} with prefix {bucket_prefix!r} is the other table's: give --to-bucket-prefix"
            )
        region = region or self.region
        endpoint_url = endpoint_url or self.endpoint_url
        return replace(self, endpoint_url=endpoint_url, region=region, bucket=bucket, bucket_prefix=bucket_prefix)

    def of_format(self, source_format: str | None) -> Settings:
        """With the names that the other library has by default, where none are given."""
        names = FOREIGN_NAMES.get(source_format or "", {})
        given = {name for name, usual in USUAL_NAMES.items() if getattr(self, name) != usual}
        return replace(self, **{name: value for name, value in names.items() if name not in given})

    def with_default_names(self) -> Settings:
        """With this package's own names."""
        return replace(self, **USUAL_NAMES)

    @property
    def _aws_session(self) -> Any:
        return None if self.profile is None else profile_session(self.profile)

    @property
    def _for_pages(self) -> dict[str, Any]:
        """Options for which the format of langchain_community has no place."""
        return {"encryption": self._encryption, "blobs": self._blobs}

    @property
    def _blobs(self) -> Blobs | None:
        if self.bucket is None:
            if self.bucket_prefix:
                raise InvalidInputError(f"--bucket-prefix {self.bucket_prefix!r} needs --bucket")
            return None
        return S3Blobs(self.bucket, self.bucket_prefix, aws_session=self._aws_session, region_name=self.region)

    @property
    def _encryption(self) -> Encryption | None:
        if self.kms_key_id is not None:
            context = dict(_pair(text) for text in self.kms_context)
            return KmsKeyring(self.kms_key_id, context=context, aws_session=self._aws_session, region_name=self.region)
        if self.local_key_file:
            key, *old = (path.read_bytes() for path in self.local_key_file)
            return LocalKeyring(key, old=old)
        return None


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise InvalidInputError(f"--kms-context {text!r} must be NAME=VALUE")
    return name, value


def _made_by(place: str) -> AsyncSessionRepository:
    """What the application's own function makes, named as ``package.module:function``."""
    module_name, _, name = place.partition(":")
    sys.path.insert(0, os.getcwd())  # as for `python -m`: the application is where the command is called
    try:
        made = getattr(importlib.import_module(module_name), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InvalidInputError(f"--repository {place!r} cannot be called: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    if not isinstance(made, AsyncSessionRepository):
        raise InvalidInputError(f"--repository {place!r} made a {type(made).__name__}, not an AsyncSessionRepository")
    return made


CONNECTION = [
    click.option("--table", "-t", help="Name or ARN of the table."),
    click.option("--endpoint-url", metavar="URL", help="Another DynamoDB than AWS's own."),
    click.option("--region", help="AWS region. Default: as everywhere (AWS_DEFAULT_REGION, ...)."),
    click.option("--profile", help="Profile of the AWS configuration."),
    click.option("--primary-key-name", default="SessionId", show_default=True, help="As of the repository."),
    click.option("--history-messages-key", default="History", show_default=True, help="As of the repository."),
    click.option("--ttl-key-name", default="expireAt", show_default=True, help="As of the repository."),
    click.option("--kms-key-id", help="Key of KMS with which sessions are encrypted."),
    click.option("--kms-context", multiple=True, metavar="NAME=VALUE", help="Encryption context of that key."),
    click.option(
        "--local-key-file",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with the 32 bytes of a LocalKeyring; further ones are old keys.",
    ),
    click.option("--bucket", help="Bucket of S3 with the table's large data."),
    click.option("--bucket-prefix", default="", metavar="TEXT", help="What its objects' names begin with."),
    click.option(
        "--repository",
        metavar="MODULE:FUNCTION",
        help="Your function that makes the AsyncSessionRepository, with all of its settings, in place of the above.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs."),
]
OTHER_TABLE = [
    click.option("--to-endpoint-url", metavar="URL", help="Where that table is; default: where this one is."),
    click.option("--to-region", help="Its region; default: this one's."),
    click.option("--to-bucket", help="Bucket of S3 with its large data; default: it has none."),
    click.option("--to-bucket-prefix", default="", metavar="TEXT", help="What its objects' names begin with there."),
]
OVER_ALL = [
    click.option(
        "--match", metavar="GLOB", help="Only sessions whose id (or key, joined by /) matches, as in a shell."
    ),
    click.option("--segments", type=int, default=1, help="Parts of the table, for so many machines."),
    click.option("--segment", type=int, default=0, help="Which of them this one takes, from 0 on."),
    click.option("--at-once", type=int, default=8, show_default=True, help="Sessions worked on at a time."),
    click.option(
        "--resume",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File that says how far it has come; where it is there, go on from that.",
    ),
    click.option("--verbose", "-v", is_flag=True, help="Tell each session, not only those with a problem."),
]
WRITING = [
    click.option("--dry-run", is_flag=True, help="Write nothing; tell what would be done, and its cost."),
    click.option("--max-write-units", type=float, help="Write units a second, at most."),
]


def options(*groups: list[Callable[[F], F]]) -> Callable[[F], F]:
    """Give a command these options; those that say how to connect come to it as `settings`, the rest as `run`."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def called(**given: Any) -> Any:
            taken = {name: given.pop(name) for name in _SETTINGS if name in given}
            if taken["table"] is None and taken["repository"] is None:
                raise click.UsageError("Missing option '--table'.")
            settings = Settings(
                **{**taken, "table": taken["table"] or ""},
                json=given.pop("as_json"),
                verbose=given.get("verbose", False),
            )
            given.pop("verbose", None)
            chosen = {name: given.pop(name) for name in _RUN if name in given}
            return command(settings, chosen, **given)

        for group in reversed(groups):
            for option in reversed(group):
                called = option(called)
        return called  # type: ignore[return-value]

    return decorate


_SETTINGS = (
    "table", "endpoint_url", "region", "profile", "primary_key_name", "history_messages_key", "ttl_key_name",
    "kms_key_id", "kms_context", "local_key_file", "bucket", "bucket_prefix", "repository",
)  # fmt: skip
_RUN = ("match", "segments", "segment", "at_once", "resume", "dry_run", "max_write_units")


def parse_session(text: str) -> Session:
    """A session as one types it: its id, or its whole key as a JSON object."""
    if text.startswith("{"):
        try:
            told = json.loads(text)
        except ValueError:
            return text
        if isinstance(told, dict):
            return told
    return text


def read_names(path: Path) -> Iterator[Session]:
    """Sessions of a file, one a line: ids, keys as JSON objects, or lines of ``list --json``."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            session = parse_session(line.strip())
            named = session.get("session", session) if isinstance(session, dict) else session
            yield named


def make_run(chosen: dict[str, Any], sessions: tuple[Session, ...] = (), **shown: Any) -> Run:
    """How the command goes over the sessions."""
    return Run(sessions=sessions, **chosen, **shown)
