"""Messages as `langchain_community` stores them: maps of DynamoDB's own types; and messages of their own dumps.

What its maps can hold is written as it writes it: bytes as binary, sets of texts, numbers or bytes as sets, an object
as a map of its fields. Beside those fields stands a mark for us (`NATIVE_MARK`), by which objects of langchain-core and
of registered classes come back as themselves; values of other kinds are maps that hold nothing but the mark.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import ValidationError

from .._checks import is_utf8, short
from ..errors import UnsupportedMessageError
from .classes import BUILT_IN, MESSAGES
from .lines import UndecodableError, to_json
from .marks import NATIVE_MARK, Reader
from .messages import assemble, check_comes_back, class_of, extra_fields, field_of, reason
from .objects import Writer
from .places import Degraded, Where, unsupported
from .plain import is_plain
from .registry import OBJECTS
from .values import DEGRADABLE, ValueWriter

# DynamoDB's own number and map types hold less than JSON, and boto3 cannot read numbers written with over 38 digits.
_LEAST = 1e-130
_LEVELS = 28  # 32, less those of the list, the message and its data
_SETS: tuple[set[type], ...] = ({str}, {bytes}, {int, float})
_PAGES = 'use item_format="pages"'


def to_native(
    message: BaseMessage, path: str = "message", *, strict: bool = False, degraded: list[Degraded] | None = None
) -> dict[str, object]:
    """Return what `langchain_community` stores for a message: JSON's types, bytes and sets.

    What comes back as something else is added to `degraded`.

    Raises like `encode_message`, and for registered classes of messages, which `langchain_community` cannot read back.
    """
    fields = _all_fields(message, path)
    kind, own_type = class_of(message, path), message.type
    if kind.cls not in BUILT_IN or own_type != kind.tag:
        what = f"{path} is a {kind.cls.__qualname__} of type {short(own_type)}"
        raise UnsupportedMessageError(f"{what}: langchain_community could not read it back; {_PAGES}.", path=path)
    written = to_json(fields)
    if written and _is_native(written[1], 0) and not (OBJECTS.has_plain_enums and not is_plain(fields)):
        plain = written[1]
        check_comes_back(message, lambda: dict(plain), path)
        return {"type": kind.tag, "data": plain}
    writer = NativeWriter(_all_fields, strict=strict)
    tree = writer.fields(fields, path)
    check_comes_back(message, lambda: _read(tree), path, exact=not writer.degraded)
    if degraded is not None:
        degraded += writer.degraded
    return {"type": kind.tag, "data": tree}


def from_native(value: object) -> BaseMessage:
    """Return the message of what `langchain_community` stored, numbers already being int or float.

    Where fields are missing or of another type (an older LangChain wrote them) the class's constructor completes
    and converts them, as it does for `langchain_community`. Raises UndecodableError.
    """
    try:
        tag, data = value["type"], value["data"]  # type: ignore[index]
        kind = MESSAGES.by_tag[tag]
        if _is_marked(data):
            data = _read(data)
        if kind.names <= data.keys() and data["type"] == tag:
            try:
                return assemble(dict(data))
            except ValidationError:
                pass
        return kind.cls(**data)
    except MemoryError:
        raise
    except Exception as error:
        raise UndecodableError(reason(error)) from None


def from_dump(value: Mapping[str, Any]) -> BaseMessage:
    """Return the message of what its `model_dump` gave, in Python or through JSON; raises ValueError.

    A dump names no class: it is the one with this type and the most of these fields, a registered one if need be.
    """
    data = dict(value)
    of_type = [kind for kind in list(MESSAGES.by_class.values()) if kind.usual_type == data.get("type")]
    fitting = [kind for kind in of_type if kind.names <= data.keys()] or of_type[:1]
    if not fitting:
        told = "if it is of your own class, call register_message_class for it"
        raise ValueError(f"no message class has the type {short(data.get('type'))}; {told}")
    kind = max(fitting, key=lambda kind: len(kind.names))
    try:
        return assemble({**data, "type": kind.tag})
    except ValueError:  # a field is missing, or to be converted
        return kind.cls(**data)


class NativeWriter(Writer):
    """Writes values as maps of `langchain_community`; what it would read as something strange is not in content."""

    mark = NATIVE_MARK
    deepest = _LEVELS - 3  # a mark has levels of its own
    flatter = _PAGES

    def fields(self, fields: Mapping[str, Any], where: Where, depth: int = 1, *, may: bool = True) -> dict[str, Any]:
        """See `Writer`."""
        tree: dict[str, Any] = {}
        for name, value in fields.items():
            before, self.marked = self.marked, False
            if not isinstance(name, str) or not _is_name(name):
                raise unsupported(where, "a field whose name is empty or no UTF-8", _PAGES)
            tree |= super().fields({name: value}, where, depth, may=may)
            if self.marked and name not in DEGRADABLE and name in _SPOKEN:
                what = "a value that langchain_community could not read as what it is"
                raise unsupported((where, name, True), what, _PAGES)
            self.marked = self.marked or before
        return tree

    def _int(self, value: int, where: Where, depth: int, may: bool) -> Any:
        return value if _is_number(value) else self._marked("int", hex(value))

    def _float(self, value: float, where: Where, depth: int, may: bool) -> Any:
        if math.isfinite(value) and not _is_number(value):
            return self._marked("float", struct.pack(">d", value).hex())
        return super()._float(value, where, depth, may)

    def _str(self, value: str, where: Where, depth: int, may: bool) -> Any:
        if value.isascii() or is_utf8(value):
            return value
        return self._marked("text", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode())

    def _is_name(self, key: object) -> bool:
        return super()._is_name(key) and _is_name(key)

    def _binary(self, kind: str, value: bytes) -> Any:
        return value if kind == "bytes" else self._marked(kind, base64.b64encode(value).decode())

    def _members(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        kinds = {*map(type, value)}
        if type(value) is set and value and any(kinds <= one for one in _SETS) and all(map(_is_member, value)):
            return value
        return super()._members(value, where, depth, may)

    def _object(self, name: str | None, fields: dict[str, Any], more: list[Any]) -> Any:
        return fields | self._marked("object", name, *more)

    def _nested(self, fields: dict[str, Any]) -> Any:
        return fields | self._marked("message")

    def _data(self, name: str | None, data: Any) -> Any:
        return data

    def _omitted(self, cls: type) -> Any:
        return None


def _all_fields(message: BaseMessage, path: str) -> dict[str, Any]:
    kind = class_of(message, path)
    fields = {name: field_of(message, name, path) for name in kind.cls.model_fields} | extra_fields(kind, message, path)
    fields["type"] = kind.tag if fields["type"] == kind.usual_type else [kind.tag, fields["type"]]
    return fields


def _is_marked(value: Any) -> bool:
    if type(value) is dict:
        return NATIVE_MARK in value or any(_is_marked(entry) for entry in value.values() if type(entry) in (dict, list))
    return type(value) is list and any(_is_marked(entry) for entry in value if type(entry) in (dict, list))


def _read(tree: dict[str, Any]) -> dict[str, Any]:
    return Reader(assemble, mark=NATIVE_MARK).fields(tree)


def _is_native(value: Any, depth: int) -> bool:
    """Whether DynamoDB's own types hold this value of JSON's types."""
    if isinstance(value, str):
        return value.isascii() or is_utf8(value)
    if isinstance(value, (list, dict)) and depth > _LEVELS:
        return False
    if isinstance(value, list):
        return all(_is_native(entry, depth + 1) for entry in value)
    if isinstance(value, dict):
        named = NATIVE_MARK not in value and all(map(_is_name, value))
        return named and all(_is_native(entry, depth + 1) for entry in value.values())
    return _is_number(value) if isinstance(value, (int, float)) else True


def _is_name(key: Any) -> bool:
    return bool(key) and is_utf8(key)


def _is_member(value: Any) -> bool:
    if isinstance(value, str):
        return is_utf8(value)
    return isinstance(value, bytes) or _is_number(value)


def _is_number(value: float) -> bool:
    # Floats are stored by their shortest digits: 1e38, slightly less than 10**38 in truth, has 39 digits.
    limit = 1e38 if isinstance(value, float) else 10**38
    return not value or _LEAST <= abs(value) < limit


NativeWriter.writers = ValueWriter.writers | {
    int: NativeWriter._int,
    float: NativeWriter._float,
    str: NativeWriter._str,
}
_SPOKEN = frozenset(name for cls in BUILT_IN for name in cls.model_fields) - {*DEGRADABLE}
"""Fields that are read by models: where langchain_community would hand on our marks, they are refused."""
