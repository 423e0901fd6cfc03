"""What a command is to work on: its table and settings, made into a repository."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._dynamodb.client_settings import profile_session
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
FOREIGN_NAMES: dict[str, dict[str, Any]] = {
    "javascript": {"primary_key_name": "id", "history_messages_key": "messages"},
    "llama-index": {"ttl_key_name": "TTL"},
}


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
        """The same for another table, which may be at another endpoint or region, and has a bucket of its own."""
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
