"""Messages as `langchain_community` stores them: maps of DynamoDB's own types; and messages of their own dumps.

What its maps can hold is written as it writes it: bytes as binary, sets of texts, numbers or bytes as sets, an object
as a map of its fields. Beside those fields stands a mark for us (`NATIVE_MARK`), by which objects of langchain-core and
of registered classes come back as themselves; values of other kinds are maps that hold nothing but the mark.
"""

from __future__ import annotations

import base64
import contextlib
import math
import struct
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import ValidationError

from .._checks import is_utf8, short
from ..errors import UnsupportedMessageError
from .assembling import assemble, class_of, extra_fields, field_of
from .classes import BUILT_IN, MESSAGES, MessageClass
from .kinds import ObjectClass
from .lines import UndecodableError
from .marks import NATIVE_MARK, Known, Reader, Replaced, registered
from .objects import Writer
from .places import Degraded, Where, type_name, unsupported
from .settling import settled
from .stack import with_room
from .values import DEGRADABLE, ValueWriter
from .verifying import MakeReader, check_comes_back, reason, written

# DynamoDB's own number and map types hold less than JSON, and boto3 cannot read numbers written with over 38 digits.
_LEAST = 1e-130
_ALL_WHOLE = 2**53  # up to this a whole float is the integer that its shortest digits are
_LEVELS = 28  # 32, less those of the list, the message and its data, and one for what is in the last
_MARK_LEVELS = 2  # that a mark takes
_SETS: tuple[set[type], ...] = ({str}, {bytes}, {int, float})
_REPLACED = ("data", "omitted")  # kinds of marks that only pages have
_PAGES = 'use item_format="pages", the default'
_TEXT = f"store text in its place, or {_PAGES}"


def to_native(
    message: BaseMessage, path: str = "message", *, strict: bool = False, degraded: list[Degraded] | None = None
) -> dict[str, object]:
    """Return what `langchain_community` stores for a message: JSON's types, bytes and sets.

    What comes back as something else is added to `degraded`; but for `strict`, whole floats are integers, which they
    equal, unless they are in a value that has a mark anyway.

    Raises like `encode_message`, and for registered classes of messages, which `langchain_community` cannot read back.
    """
    kind, own_type = class_of(message, path), message.type
    fields = _all_fields(kind, message, path)
    if kind.cls not in BUILT_IN or own_type != kind.tag:
        what = f"{path} is a {kind.cls.__qualname__} of type {short(own_type)}"
        raise UnsupportedMessageError(f"{what}: langchain_community could not read it back; {_PAGES}.", path=path)
    tree, told = with_room(lambda last: _tree(message, fields, path, strict, last))
    if degraded is not None:
        degraded += told
    return {"type": kind.tag, "data": tree}


def _tree(
    message: BaseMessage, fields: dict[str, Any], path: str, strict: bool, last: bool
) -> tuple[dict[str, Any], list[Degraded]]:
    writer = NativeWriter(_all_fields, assemble, strict=strict, last=last)
    tree = written(writer, fields, path)
    stored = settled(tree) if writer.degraded else tree

    def read(make: MakeReader) -> dict[str, Any]:
        reader = make(b"")
        return reader.fields(tree if reader.exact else stored)

    check_comes_back(message, read, path, writer)
    return stored, writer.degraded


def from_native(value: object, *, exact: bool = False) -> BaseMessage:
    """Return the message of what `langchain_community` stored, numbers already being int or float.

    Where fields are missing or of another type (an older LangChain wrote them) the class's constructor completes
    and converts them, as it does for `langchain_community`. With `exact`, objects of classes that are not known stay
    what they are stored as, so that the message can be stored again, but where only their data fits. Raises
    UndecodableError.
    """
    if exact:
        with contextlib.suppress(UndecodableError):
            return _from_native(value, registered())
    return _from_native(value, None)


def _from_native(value: object, known: Known | None) -> BaseMessage:
    try:
        tag, data = value["type"], value["data"]  # type: ignore[index]
        kind = MESSAGES.by_tag[tag]
        if _is_marked(data):
            data = with_room(lambda last: NativeReader(assemble, known=known).fields(data))
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


class NativeReader(Reader):
    """Reads maps of `langchain_community`, where an object's fields stand beside its mark."""

    mark = NATIVE_MARK

    def read(self, tree: Any) -> Any:
        """See `Reader`."""
        return tree if type(tree) is Replaced else super().read(tree)

    def _marked(self, tree: dict[str, Any]) -> Any:
        fields = {name: value for name, value in tree.items() if name != self.mark}
        try:
            kind, *more = tree[self.mark]
            if kind == "message" and not more and "type" in fields:
                return self._message(fields)
            if kind == "object" and isinstance(more[0], str) and not (more[1:] and type(more[1]) is dict):
                return self._object(more[0], fields, *more[1:])
            if not fields and kind not in _REPLACED:
                return self._dict(*more) if kind == "dict" else super()._marked(tree)
        except (MemoryError, RecursionError):
            raise
        except Exception:  # somebody else has an attribute of that name
            pass
        return {name: self.read(value) for name, value in tree.items()}

    def _dict(self, *pairs: Any) -> Any:
        # Earlier, a key that is left out was stored, without a value.
        return super()._dict(*[pair for pair in pairs if len(pair) != 1 or type(pair[0]) is Replaced])


class NativeWriter(Writer):
    """Writes values as maps of `langchain_community`; what it would read as something strange is not in content."""

    mark = NATIVE_MARK
    deepest = _LEVELS
    flatter = _PAGES
    reader = NativeReader

    def fields(self, fields: Mapping[str, Any], where: Where, depth: int = 1, *, may: bool = True) -> dict[str, Any]:
        """See `Writer`."""
        tree: dict[str, Any] = {}
        for name, value in fields.items():
            before, self.marked = self.marked, False
            if not isinstance(name, str) or not _is_name(name):
                raise unsupported(where, "a field whose name is empty or no UTF-8", _PAGES)
            tree |= super().fields({name: value}, where, depth, may=may)
            if self.marked and name not in DEGRADABLE and name in _SPOKEN:
                inner, kind = _first_marked(tree[name], (where, name, True))
                raise unsupported(inner, f"a {kind}, which langchain_community could not read as what it is", _TEXT)
            self.marked = self.marked or before
        return tree

    def write(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        """See `ValueWriter`."""
        if depth > self.deepest - _MARK_LEVELS and not self._has_room(value, depth):
            return self._refused(value, where, may, f"more than {self.deepest} levels of nesting", self.flatter)
        return super().write(value, where, depth, may)

    def _has_room(self, value: Any, depth: int) -> bool:
        """Whether a value this deep needs no mark."""
        kind = type(value)
        if kind is dict:
            return self.mark not in value and all(map(self._is_name, value))
        if kind is int or kind is float:
            return self._is_native(value)
        return is_utf8(value) if kind is str else kind is list or kind is bool or kind is bytes or value is None

    def _is_native(self, value: float, unmarked: int = 0) -> bool:
        """Whether a number is what it was when it was one of DynamoDB's; around it are so many that need no mark."""
        if not math.isfinite(value) or not _is_number(value):
            return False
        if isinstance(value, int) or not value.is_integer():
            return True
        if self.strict or self._marks != unmarked:
            return False
        return abs(value) <= _ALL_WHOLE or int(Decimal(repr(value))) == value

    def _int(self, value: int, where: Where, depth: int, may: bool) -> Any:
        return value if self._is_native(value) else self._marked("int", hex(value))

    def _float(self, value: float, where: Where, depth: int, may: bool) -> Any:
        if self._is_native(value):
            return value
        return self._marked("float", struct.pack(">d", value).hex())

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
        if type(value) is set and value and any(kinds <= one for one in _SETS) and all(map(self._is_member, value)):
            return value
        return super()._members(value, where, depth, may)

    def _is_member(self, value: Any) -> bool:
        """Whether it is what it was when it is in one of DynamoDB's sets."""
        if isinstance(value, str):
            return is_utf8(value)
        return isinstance(value, bytes) or self._is_native(value, unmarked=1)

    def _thing(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        known = self.object_class(type(value))
        assert known is not None
        if all(map(_is_name, _names(known, value))):
            return super()._thing(value, where, depth, may)
        what = f"a value of type {type_name(value)}, with a name (of the class, a field or a member) that is no UTF-8"
        fix = "use another name; register it under another"
        if not may:
            raise unsupported(where, what, fix)
        what = f"{what}: it is stored as its data, and comes back so; {fix}"
        self._tell(where, type(value), what, omitted=False, registered=self.is_registered(type(value)))
        return self._final(self.write(known.data(value), where, depth + 2, may))

    def _object(self, name: str, fields: dict[str, Any], more: list[Any]) -> Any:
        if self.mark in fields:
            return super()._object(name, fields, more)
        return fields | self._marked("object", name, *more)

    def _nested(self, fields: dict[str, Any]) -> Any:
        return super()._nested(fields) if self.mark in fields else fields | self._marked("message")

    def settled(self, tree: Any) -> Any:
        """See `Writer`."""
        return settled({"": tree})[""]

    def _final(self, tree: Any) -> Any:
        return Replaced(tree)

    def _omitted(self, cls: type) -> Any:
        return Replaced()


def _first_marked(tree: Any, where: Where) -> tuple[Where, str]:
    """The place of the first value in a tree that has a mark, and its kind."""
    if type(tree) is dict and NATIVE_MARK in tree:
        return where, str(tree[NATIVE_MARK][0])
    entries = tree.items() if type(tree) is dict else enumerate(tree)
    marked = (_first_marked(entry, (where, key)) for key, entry in entries if _is_marked(entry))
    return next(marked, (where, "value"))


def _all_fields(kind: MessageClass, message: BaseMessage, path: str) -> dict[str, Any]:
    fields = {name: field_of(message, name, path) for name in kind.cls.model_fields} | extra_fields(kind, message, path)
    usual = fields["type"] == kind.usual_type and kind.tag in MESSAGES.by_tag
    fields["type"] = kind.tag if usual else [kind.tag, fields["type"]]
    return fields


def _is_marked(value: Any) -> bool:
    if type(value) is dict:
        return NATIVE_MARK in value or any(_is_marked(entry) for entry in value.values() if type(entry) in (dict, list))
    return type(value) is list and any(_is_marked(entry) for entry in value if type(entry) in (dict, list))


def _is_name(key: Any) -> bool:
    return bool(key) and is_utf8(key)


def _names(known: ObjectClass, value: Any) -> list[Any]:
    """The names that an object is stored under."""
    names = [known.name, *known.fields]
    return [*names, value._name_] if known.kind == "enum" and value._name_ is not None else names


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
