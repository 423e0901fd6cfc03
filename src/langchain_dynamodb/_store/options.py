"""What a repository is made with: settings, and what only tests exchange: codec, clock, waiting times, bounds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

from .._checks import check_flag, check_table_name, check_ttl
from .._items.configured_names import Names, check_names
from .._items.session_items import Sizes, check_sizes
from ..codec.messages import Codec
from ..encryption.keyrings import Keyring
from ..errors import InvalidInputError, SettingsError
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
    known_sessions: int = field(
        default=1024, repr=False
    )  # session items remembered, so that an append needs no look first
    page_cache: int = field(default=16 << 20, repr=False)  # bytes
    codec: Codec = field(default_factory=Codec, repr=False)
    clock: Callable[[], int] | None = field(
        default=None, repr=False
    )  # microseconds since the epoch; None: the machine's
    timing: Timing = field(default=Timing(), repr=False)

    def __post_init__(self) -> None:
        check_table_name(self.table_name)
        if self.item_format not in ("pages", "community"):
            raise InvalidInputError(f"item_format={self.item_format!r} must be 'pages' or 'community'")
        check_flag("skip_undecodable", self.skip_undecodable)
        check_flag("strict", self.strict)
        check_sizes(self.sizes)
        check_ttl(self.ttl)
        check_names(self.names, self.primary_key_name)
        given: object = self.encryption
        refused = isinstance(given, type) or inspect.iscoroutinefunction(given)
        if refused or not (given is None or isinstance(given, Keyring) or callable(given)):
            raise InvalidInputError(
                f"encryption is a {type(given).__name__}: give a keyring (KmsKeyring(...), LocalKeyring(...)), or a "
                "function (none that is async) that takes a session and returns one"
            )
        if self.encryption is not None and self.item_format == "community":
            raise SettingsError("item_format='community' cannot be encrypted: langchain_community reads plain messages")

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

    @property
    def names(self) -> Names:
        """The attribute names that the user chose."""
        return Names(self.history_messages_key, self.ttl_key_name)
