"""What a repository is made with: settings, and what only tests exchange: codec, clock, waiting times, bounds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal, TypeAlias

from .._checks import check_flag, check_home_region, check_table_name, check_ttl
from .._items.attribute_names import BUCKET
from .._items.configured_names import Names, check_names
from .._items.sizes import (
    MAX_LARGE,
    MAX_OBJECT,
    Sizes,
    check_sizes,
)
from ..blobs.stores import Blobs
from ..codec.messages import Codec
from ..encryption.keyrings import is_keyring
from ..errors import InvalidInputError, SettingsError
from ..observers import Observer, check_observers
from .vault import Encryption

ItemFormat: TypeAlias = Literal["pages", "community"]


@dataclass(frozen=True)
class Timing:
    """How long things are waited for, in seconds of the event loop's own clock."""

    patience: float = 30.0  # a write that others keep off gives up
    races: int = 3  # (no time) that a write loses before it keeps the others off
    lease: float = 3.0  # others leave an unfinished write alone after the last sign of life of its writer
    renew: float = 1.0  # which gives one so often
    poll: float = 0.05  # before those who wait for a lease look again
    answer: float = 0.5  # a cancelled task waits for the answer to the request that begins a lease
    last_words: float = 1.0  # it may go on in all, to tidy up
    clearing: float = 1.0  # an append waits for the removal of pages that were dropped; the next cut goes on with it
    discard: tuple[float, ...] = (0.0, 0.2, 1.0)  # before each attempt to remove pages that nobody else will find
    table_poll: float = 0.2  # before a table that is being made is looked at again
    table_polls: int = 1500  # (no time; five minutes) a new table takes some seconds


@dataclass(frozen=True)
class Options:
    """The settings of a repository, checked. Raises `InvalidInputError` for what cannot be used."""

    table_name: str
    primary_key_name: str = "SessionId"
    history_messages_key: str = "History"
    ttl: int | None = None
    ttl_key_name: str = "expireAt"
    item_format: ItemFormat = "pages"
    sizes: Sizes = field(default_factory=Sizes)
    skip_undecodable: bool = False
    strict: bool = False
    encryption: Encryption | None = None
    blobs: Blobs | None = None
    observers: tuple[Observer, ...] = ()
    home_region: str | None = None
    # What no user is shown:
    known_sessions: int = field(default=1024, repr=False)  # session items remembered: an append needs no look first
    page_cache: int = field(default=16 << 20, repr=False)  # bytes
    codec: Codec = field(default_factory=Codec, repr=False)
    clock: Callable[[], int] | None = field(default=None, repr=False)  # microseconds; None: the machine's
    timing: Timing = field(default=Timing(), repr=False)

    def __post_init__(self) -> None:
        check_table_name(self.table_name)
        if self.item_format not in ("pages", "community"):
            raise InvalidInputError(f"item_format={self.item_format!r} must be 'pages' or 'community'")
        check_flag("skip_undecodable", self.skip_undecodable)
        check_flag("strict", self.strict)
        check_sizes(self.sizes, objects=self.blobs is not None)
        check_ttl(self.ttl)
        check_names(self.names, self.primary_key_name)
        check_home_region(self.home_region)
        if self.home_region is not None and self.item_format == "community":
            raise SettingsError("item_format='community' has no place for a home_region: use the default format")
        object.__setattr__(self, "observers", check_observers(self.observers))
        given: object = self.encryption
        refused = isinstance(given, type) or inspect.iscoroutinefunction(given)
        if refused or not (given is None or is_keyring(given) or callable(given)):
            raise InvalidInputError(
                f"encryption is a {type(given).__name__}: give a keyring (KmsKeyring(...), LocalKeyring(...)), or a "
                "function (none that is async) that takes a session and returns one"
            )
        if self.encryption is not None and self.item_format == "community":
            raise SettingsError("item_format='community' cannot be encrypted: langchain_community reads plain messages")

        if not (self.blobs is None or isinstance(self.blobs, Blobs)) or isinstance(self.blobs, type):
            raise InvalidInputError(f"blobs is a {type(self.blobs).__name__}: give S3Blobs(bucket), or None")
        if self.blobs is not None and self.item_format == "community":
            raise SettingsError("item_format='community' has no pages, and so no objects: leave out blobs=")

    def __deepcopy__(self, memo: object) -> Options:
        return self  # nothing in it changes

    @property
    def shown(self) -> dict[str, str]:
        """Names and reprs of what is not the default. Of objects only the class: they may hold keys."""
        defaults = Options(self.table_name)
        names = [each.name for each in fields(self) if each.repr]
        given = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(defaults, name)}
        plain = (str, int, Sizes)
        return {
            name: repr(value) if isinstance(value, plain) else f"<{type(value).__name__}>"
            for name, value in given.items()
        }

    @cached_property
    def names(self) -> Names:
        """The attribute names that the user chose."""
        return Names(self.history_messages_key, self.ttl_key_name)

    @property
    def layout(self) -> Sizes:
        """The sizes that writes go by: in an object a message has one part, and the session item names the bucket."""
        if self.blobs is None:
            return self.sizes
        noted = len(BUCKET) + len(self.blobs.bucket)
        return self.sizes._replace(session_item=max(self.sizes.session_item - noted, 1), item=MAX_OBJECT)


def default_sizes(blobs: Blobs | None) -> Sizes:
    """Those of a repository that is given none."""
    return Sizes() if blobs is None else Sizes(message=MAX_LARGE)
