"""What repositories and histories are as Python objects: shown, copied and pickled by settings, which are fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar, overload

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._dynamodb.client_settings import ConnectionSettings
    from ._items.sizes import Sizes
    from ._store.options import ItemFormat, Options
    from ._store.vault import Encryption
    from .blobs.stores import Blobs
    from .observers import Observer

T = TypeVar("T")


class Shared:
    """An object over connections: a copy has the same ones. What is pickled or copied deeply finds its own."""

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other


def shown(thing: object, options: Options, connection: ConnectionSettings, **more: object) -> str:
    """A repr: the table, what else names `thing`, and the settings that are not the default."""
    given = {name: repr(value) for name, value in more.items()} | options.shown | connection.shown
    arguments = [repr(options.table_name), *(f"{name}={value}" for name, value in given.items())]
    return f"{type(thing).__name__}({', '.join(arguments)})"


class Setting(Generic[T]):
    """A setting of a repository, or of a facade of one. To assign it would reach only a part of it, so it is fixed."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, repository: None, owner: type) -> Self: ...

    @overload
    def __get__(self, repository: Configured, owner: type) -> T: ...

    def __get__(self, repository: Configured | None, owner: type) -> T | Self:
        if repository is None:
            return self
        value: T = getattr(repository._options, self.name)
        return value

    def __set__(self, repository: Configured, value: NoReturn) -> NoReturn:
        raise AttributeError(
            f"{self.name} of a {type(repository).__name__} is fixed: make another one with {self.name}={value!r:.80}, "
            "which uses the same client"
        )


class Configured(Shared):
    """What is made with the settings of a repository."""

    _options: Options

    table_name: Setting[str] = Setting()
    primary_key_name: Setting[str] = Setting()
    history_messages_key: Setting[str] = Setting()
    ttl: Setting[int | None] = Setting()
    ttl_key_name: Setting[str] = Setting()
    item_format: Setting[ItemFormat] = Setting()
    sizes: Setting[Sizes] = Setting()
    skip_undecodable: Setting[bool] = Setting()
    strict: Setting[bool] = Setting()
    encryption: Setting[Encryption | None] = Setting()
    blobs: Setting[Blobs | None] = Setting()
    observers: Setting[tuple[Observer, ...]] = Setting()
    home_region: Setting[str | None] = Setting()
