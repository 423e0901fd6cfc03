"""What repositories and histories are as Python objects: they share connections, and settings are fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, SupportsIndex

if TYPE_CHECKING:
    from typing_extensions import Self

SETTINGS = {"table_name", "primary_key_name", "history_messages_key", "ttl", "ttl_key_name", "item_format"}


class Shared:
    """An object over connections: a copy has the same ones, and what would need others of its own is refused."""

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} holds connections, so it can be neither pickled nor copied deeply: make one "
            "where it is used, which takes microseconds and sends nothing"
        )


class Fixed(Shared):
    """A repository, or a facade of one: an assigned setting would reach only a part of it, so it is refused."""

    if not TYPE_CHECKING:  # else type checkers would take any attribute

        def __setattr__(self, name: str, value: object) -> None:
            repository = vars(self).get("_repository", self)
            if name in SETTINGS and name in vars(repository):
                raise AttributeError(
                    f"{name} of a {type(self).__name__} is fixed: make another one with {name}={value!r:.80}, "
                    "which uses the same client"
                )
            super().__setattr__(name, value)
