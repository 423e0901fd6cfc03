"""What to store in the place of a value that cannot be."""

from __future__ import annotations

import collections
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
    """What to use instead, by the kind of value."""
    for kinds, fix in _ADVICE:
        if isinstance(value, kinds):
            return fix
    if callable(getattr(value, "to_dict", None)) and hasattr(value, "columns"):
        return 'use value.to_dict("records")'
    if callable(getattr(value, "tolist", None)):
        return "use value.tolist()"
    return "store what describes it: text, numbers, lists, dicts, or an object of a class given to register_class"
