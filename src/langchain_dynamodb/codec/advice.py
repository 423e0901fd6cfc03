"""What to store in the place of a value that cannot be."""

from __future__ import annotations

import collections
import contextlib
import io
import os
import types
from collections.abc import Iterator, Mapping

_ADVICE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (memoryview, "use bytes(value)"),
    (io.IOBase, "store its name or what it holds, as text or bytes"),
    ((range, collections.deque, Iterator), "use list(value)"),
    (os.PathLike, "use str(value)"),
    (Mapping, "use dict(value)"),
    (BaseException, "use str(value)"),
    ((types.FunctionType, types.MethodType, type), "use its name"),
)


def advice(value: object) -> str:
    """What to use instead, by the kind of value. Its class is looked at, and no code of it is run."""
    cls = type(value)
    for kinds, fix in _ADVICE:
        with contextlib.suppress(Exception):  # a class of classes that cannot be hashed
            if issubclass(cls, kinds):
                return fix
    names = {name for base in cls.__mro__ for name in vars(base)}
    if {"to_dict", "columns"} <= names:
        return 'use value.to_dict("records")'
    if "tolist" in names:
        return "use value.tolist()"
    return (
        "store what describes it: text, numbers, lists, dicts, or a pydantic model, dataclass, NamedTuple or enum "
        "whose class was given to register_class"
    )
