"""Whether a message comes back from what was written of it; else it is refused, in words that quote nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import ValidationError

from ..errors import UnsupportedMessageError
from .equality import same
from .lines import UndecodableError
from .marks import Reader
from .objects import Writer

MakeReader = Callable[[bytes], Reader]
"""Makes a reader of these binary values."""


def written(writer: Writer, fields: dict[str, Any], path: str) -> dict[str, Any]:
    """The tree of a message's fields; raises `UnsupportedMessageError`."""
    try:
        return writer.fields(fields, path)
    except (UnsupportedMessageError, MemoryError):
        raise
    except RecursionError:
        if not writer.last:
            raise
        what = f"{path} holds something nested too deeply; store a flatter value."
    except Exception:  # the classes of its values may raise anything, in any words
        what = f"{path} holds something that cannot be looked at; store plain values."
    raise UnsupportedMessageError(what, path=path)


def check_comes_back(
    message: BaseMessage, read: Callable[[MakeReader], dict[str, Any]], path: str, writer: Writer
) -> None:
    """Refuse what could be written but not read: a field of the wrong type, state outside the fields.

    `read` gives the fields as they are read by such a reader. What was told to come back as something else is not
    compared, but must be readable too.
    """
    cls = type(message).__qualname__
    try:
        if writer.degraded:
            writer.assemble(read(partial(_later, writer)), writer.registered.messages)
        if _is_read(message, read, writer, makes=False) or _is_read(message, read, writer, makes=True):
            return
    except ValidationError as error:
        field, problem = _first_problem(error)
        where = f"{path}.{field}"
        raise UnsupportedMessageError(f"{where} is not valid in a {cls}: {problem}.", path=where) from None
    except RecursionError:
        if not writer.last:
            raise
    except Exception:
        pass
    fix = "keep everything in its fields"
    raise UnsupportedMessageError(f"{path}, a {cls}, would not come back equal; {fix}.", path=path)


def _later(writer: Writer, binary: bytes) -> Reader:
    """A reader as others will read with: what is told has its data."""
    reader = writer.reader(writer.assemble, binary)
    reader.known = writer.registered
    return reader


def _is_read(
    message: BaseMessage, read: Callable[[MakeReader], dict[str, Any]], writer: Writer, *, makes: bool
) -> bool:
    """Whether the message is read; unless it `makes` objects, by their parts alone, which no typed field takes."""
    known = writer.known()

    def reader(binary: bytes) -> Reader:
        one = writer.reader(writer.assemble, binary, known)
        one.makes = makes
        return one

    try:
        return same(writer.assemble(read(reader), known.messages), message, writer.object_class)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        if makes:
            raise
        return False


def _first_problem(error: ValidationError) -> tuple[str, str]:
    """The field, and what is wrong with it: in pydantic's words where those say nothing of what is there."""
    details = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind = details["type"]
    plain = kind.endswith("_type") or kind == "is_instance_of"
    return ".".join(map(str, details["loc"][:1])), details["msg"] if plain else kind


def reason(error: Exception) -> str:
    """Say what is wrong with stored bytes without quoting them: the texts of other errors may."""
    if isinstance(error, UndecodableError):
        return error.reason
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"field {'.'.join(map(str, details['loc'][:1]))} is not valid ({details['type']})"
    if isinstance(error, ValueError):
        return "not the JSON of a message"
    return f"not a message ({type(error).__name__})"
