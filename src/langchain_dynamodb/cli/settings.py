"""What a command is to work on: its table and settings, made into a repository."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from .._dynamodb.client_settings import profile_session
from .._store.options import ItemFormat, default_sizes
from .._store.vault import Encryption
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
OF_NO_REPOSITORY = ("repository", "json", "verbose", "given")
FOREIGN_NAMES: dict[str, dict[str, Any]] = {
    "javascript": {"primary_key_name": "id", "history_messages_key": "messages"},
    "llama-index": {"ttl_key_name": "TTL"},
}


@dataclass(frozen=True)
class Settings:
    """What a command is to work on; raises `InvalidInputError` for options that exclude each other."""

    table: str | None = None
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
    home_region: str | None = None
    repository: str | None = None
    json: bool = False
    verbose: bool = False
    given: frozenset[str] = frozenset()  # names of attributes that were given, be they the usual ones

    def __post_init__(self) -> None:
        of_the_repository = [one for one in fields(self) if one.name not in OF_NO_REPOSITORY]
        given = [_option(one.name) for one in of_the_repository if getattr(self, one.name) != one.default]
        if self.repository is not None and given:
            raise InvalidInputError(f"--repository makes the repository with all its settings: leave out {given[0]}")
        if self.kms_key_id is not None and self.local_key_file:
            raise InvalidInputError("--kms-key-id and --local-key-file: give one of them")
        if self.kms_context and self.kms_key_id is None:
            raise InvalidInputError("--kms-context needs --kms-key-id")
        if self.bucket_prefix and self.bucket is None:
            raise InvalidInputError(f"--bucket-prefix {self.bucket_prefix!r} needs --bucket")

    def open(self) -> AsyncSessionRepository:
        """The repository, of which nothing is opened yet; raises `InvalidInputError`."""
        if self.repository is not None:
            return _made_by(self.repository)
        return AsyncSessionRepository(
            self.table or "",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_session=self._aws_session,
            primary_key_name=self.primary_key_name,
            history_messages_key=self.history_messages_key,
            ttl_key_name=self.ttl_key_name,
            encryption=self._encryption,
            blobs=self._blobs,
            home_region=self.home_region,
        )

    def of_format(self, source_format: str | None) -> Settings:
        """With the names that the other library has by default, where none are given."""
        names = FOREIGN_NAMES.get(source_format or "", {})
        if self.repository is not None:
            return self
        return replace(self, **{name: value for name, value in names.items() if name not in self.given})

    @property
    def _aws_session(self) -> Any:
        return None if self.profile is None else profile_session(self.profile)

    @property
    def _blobs(self) -> Blobs | None:
        if self.bucket is None:
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


def elsewhere(
    source: AsyncSessionRepository,
    table: str | None,
    *,
    to_endpoint_url: str | None,
    to_region: str | None,
    to_bucket: str | None,
    to_bucket_prefix: str,
    item_format: ItemFormat = "pages",
    **names: str,
) -> AsyncSessionRepository | None:
    """The repository of another table, with what `source` is made with but for what is given; None without a table.

    Raises `InvalidInputError` for what says where a table is that is not named.
    """
    told = {"to_endpoint_url": to_endpoint_url, "to_region": to_region, "to_bucket": to_bucket}
    if table is None:
        for name, value in {**told, "to_bucket_prefix": to_bucket_prefix}.items():
            if value:
                raise InvalidInputError(f"{_option(name)} is of another table: give --to-table")
        return None
    if to_bucket_prefix and to_bucket is None:
        raise InvalidInputError(f"--to-bucket-prefix {to_bucket_prefix!r} needs --to-bucket")
    options, there = source._options, source._connection.settings
    region = to_region or there.region_name
    there = replace(there, endpoint_url=to_endpoint_url or there.endpoint_url, region_name=region)
    blobs = None
    if to_bucket is not None:
        s3: dict[str, Any] = {"aws_session": there.aws_session}
        if isinstance(options.blobs, S3Blobs):
            known = options.blobs.settings
            s3 = {"aws_session": known.aws_session, "endpoint_url": known.endpoint_url, "config": known.config}
            s3["threshold"] = options.blobs.threshold
        blobs = S3Blobs(to_bucket, to_bucket_prefix, region_name=region, **s3)
    sizes = default_sizes(blobs) if options.sizes == default_sizes(options.blobs) else options.sizes
    home = to_region if options.home_region and to_region else options.home_region
    changes: dict[str, Any] = {"table_name": table, "blobs": blobs, "sizes": sizes, "home_region": home, **names}
    if item_format == "community":  # which has no place for these
        changes |= {"encryption": None, "home_region": None}
    return AsyncSessionRepository._of(replace(options, item_format=item_format, **changes), there)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


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
    except Exception as error:  # whatever the application raises
        raise InvalidInputError(f"--repository {place!r} cannot be called: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    if not isinstance(made, AsyncSessionRepository):
        raise InvalidInputError(f"--repository {place!r} made a {type(made).__name__}, not an AsyncSessionRepository")
    return made
