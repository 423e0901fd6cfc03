"""Writing objects as JSON with marks in it (see `marks`): exactly, as their data, or not at all.

What comes back as something else is told: in three fields of a message (`DEGRADABLE`) an object of a class that is not
registered is stored under its class's name, and read as its data where nobody knows that; what no data is known of is
left out. Everywhere else, and everywhere with `strict`, both are refused.

A name is written only where the object would come back from what is stored: it has no more than its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.messages import BaseMessage

from ..errors import UnsupportedMessageError
from .advice import advice
from .classes import MESSAGES, MessageClass, full_name
from .equality import same
from .kinds import ABSENT, ObjectClass, Parts
from .marks import Assemble, Known, Reader, StoredObject
from .places import Where, path_of, type_name, unsupported
from .plain import plain_value
from .registry import OBJECTS, described
from .values import Saved, ValueWriter

TakeApart = Callable[[MessageClass, BaseMessage, str], dict[str, Any]]


class Writer(ValueWriter):
    """Writes the values of one message; `take_apart` gives the fields of a message within it, `assemble` makes it.

    `kind` is how the message itself is written, where that was looked up already. With `last`, this is the last
    try: where Python's stack ends, it is a value's own code that ends it.
    """

    reader: type[Reader] = Reader

    def __init__(
        self,
        take_apart: TakeApart,
        assemble: Assemble,
        *,
        kind: MessageClass | None = None,
        strict: bool,
        last: bool = False,
    ) -> None:
        super().__init__(strict=strict)
        by_name, self.objects = OBJECTS.snapshot()  # of one moment: others may register classes meanwhile
        by_tag, self.messages = MESSAGES.snapshot()
        self.registered = Known(by_name, {**by_tag, kind.tag: kind} if kind else by_tag)
        self.take_apart = take_apart
        self.assemble = assemble
        self.last = last
        self._classes: dict[type, ObjectClass | None] = {}  # those met that are not registered
        self._names: dict[str, ObjectClass] = {}
        self._tags: dict[str, MessageClass] = {}

    def known(self) -> Known:
        """The registered classes, and those that are not whose objects were written: for this check they are known."""
        known = self.registered
        if self._names or self._tags:
            return Known({**self._names, **known.objects}, {**self._tags, **known.messages})
        return known

    def comes_back(self, tree: Any, value: Any, since: Saved) -> bool:
        """See `ValueWriter`."""
        reader = self.reader(self.assemble, b"".join(self.binary[since[1] :]), self.known())
        try:
            return same(reader.read(tree), value, self.object_class)
        except (MemoryError, RecursionError):
            raise
        except Exception:  # whatever the classes of values do
            return False

    def object_class(self, cls: type) -> ObjectClass | None:
        """How objects of a class are taken apart, registered or not; None for all other kinds."""
        known = self.objects.get(cls)
        if known is not None:
            return known
        if cls not in self._classes:
            self._classes[cls] = described(cls)
        return self._classes[cls]

    def is_registered(self, cls: type) -> bool:
        """See `ValueWriter`."""
        try:
            return cls in self.objects
        except Exception:  # a class of classes that cannot be hashed: nothing is known of its objects
            return True

    def _other(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        before = self.saved()
        try:
            return self._look(value, where, depth, may)
        except (UnsupportedMessageError, MemoryError):
            raise
        except RecursionError:
            if not self.last:
                raise
        except Exception:  # whatever its class does: nothing is known of it then
            pass
        self.restore(before)
        return self._unknown(value, where, may)

    def _unknown(self, value: Any, where: Where, may: bool) -> Any:
        return self._refused(value, where, may, f"a value of type {type_name(value)}", advice(value))

    def _look(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        cls = type(value)
        if cls in self.objects:
            return self._guarded(value, self._thing, where, depth, may)
        if cls is StoredObject:
            return self._guarded(value, self._kept, where, depth, may)
        if BaseMessage in cls.__mro__:
            return self._guarded(value, self._message, where, depth, may)
        plain = plain_value(value)
        if plain is not None:
            return self.write(plain, where, depth, may)
        if self.object_class(cls) is not None:
            return self._guarded(value, self._thing, where, depth, may)
        return self._unknown(value, where, may)

    # Objects

    def _thing(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        cls = type(value)
        known = self.object_class(cls)
        assert known is not None
        parts = self._whole(known, value)
        is_registered = cls in self.objects
        if is_registered and parts and not may:
            return self._parts(known.kind, known.name, parts, where, depth, may)
        what, fix = "whose state is not in its fields alone", "keep everything in its fields"
        if not is_registered:
            what = "a class that is not registered"
            fix = f"to get it back as it is, call langchain_dynamodb.register_class({_class_name(cls)})"
        elif parts:
            what, fix = "with a part that cannot be stored", "keep there what can be"
        if not may:
            raise unsupported(where, f"a value of type {type_name(value)}, {what}", fix)
        told = len(self.degraded)
        if parts and (is_registered or self._has_name(known)):
            tree, is_itself = self._named(known, parts, value, where, depth)
            if is_itself and is_registered:
                return tree
        else:
            tree = self._final(self.write(known.data(value), where, depth + 2, may))
        what = f"a value of type {type_name(value)}, {what}: it is stored as its data, and comes back so; {fix}"
        self._tell(where, cls, what, omitted=False, registered=is_registered, at=told)
        return tree

    def _has_name(self, known: ObjectClass) -> bool:
        """Whether the name of a class that is not registered says what its objects are."""
        is_free = known.name not in self.registered.objects and self._names.setdefault(known.name, known) is known
        return is_free and not known.hides

    def _whole(self, known: ObjectClass, value: Any) -> Parts | None:
        """The parts of an object where they are all there is to it."""
        try:
            parts = known.take_apart(value)
            beside = known.beside(value) if known.is_simple else [(ABSENT, value)]
            if not beside or all(same(one, other, self.object_class) for one, other in beside):
                return parts
        except (MemoryError, RecursionError):
            raise
        except Exception:  # a field that is not set; whatever its class does
            pass
        return None

    def _named(self, known: ObjectClass, parts: Parts, value: Any, where: Where, depth: int) -> tuple[Any, bool]:
        """An object under its name, and whether that is read as the object where its class is registered.

        Of a model with a part left out, what its class makes of it.
        """
        before = self.saved()
        tree = self._parts(known.kind, known.name, parts, where, depth, True)
        if len(self.degraded) == before[0] or (
            self.is_registered(known.cls) and self._is_read(tree, known.cls, before)
        ):
            return tree, True
        if not any(one.omitted for one in self.degraded[before[0] :]):
            return tree, False
        try:
            data = known.json(value)
        except (MemoryError, RecursionError):
            raise
        except Exception:  # it has no such form, or serializers raise
            return tree, False
        self.restore(before)
        return self._final(self.write(data, where, depth + 2, True)), False

    def _is_read(self, tree: Any, cls: type, since: Saved) -> bool:
        """Whether an object of this class is read from a tree, written `since` then, of which something was told."""
        reader = self.reader(self.assemble, b"".join(self.binary[since[1] :]))
        reader.known = self.registered
        return type(reader.read(self.settled(tree))) is cls

    def settled(self, tree: Any) -> Any:
        """What is stored of a tree."""
        return tree

    def _parts(self, kind: str, name: str, parts: Parts, where: Where, depth: int, may: bool) -> Any:
        if kind == "enum":
            return self._member(name, parts, where, depth, may)
        fields: dict[str, Any] = {}
        for field, part in parts.fields.items():
            is_text = type(part) is str and part.isascii()
            fields[field] = part if is_text else self.write(part, (where, field, True), depth + 3, may)
        if kind == "named tuple":
            return self._marked(kind, name, fields)
        more: list[Any] = []
        if parts.extra:
            more = [list(parts.unset), self._dict(dict(parts.extra), where, depth + 2, may)]
        elif parts.unset:
            more = [list(parts.unset)]
        return self._object(name, fields, more)

    def _object(self, name: str, fields: dict[str, Any], more: list[Any]) -> Any:
        return self._marked("object", name, fields, *more)

    def _member(self, name: str, parts: Parts, where: Where, depth: int, may: bool) -> Any:
        """A member of an enum; the value of one with a name is for readers who do not know the class."""
        before, value = self.saved(), parts.fields["value"]
        if name not in self.registered.objects or parts.fields["name"] is None:
            return self._marked("enum", name, parts.fields["name"], self.write(value, where, depth + 2, may))
        try:
            written = self.write(value, where, depth + 2, False)
        except UnsupportedMessageError:
            self.restore(before)
            written = self._omitted(type(value))
        return self._marked("enum", name, parts.fields["name"], written)

    def _kept(self, value: StoredObject, where: Where, depth: int, may: bool) -> Any:
        """What was read without its class, as it was."""
        if value.kind == "message":
            return self._nested(self.fields(value.parts.fields, where, depth + 3, may=may))
        return self._parts(value.kind, value.name, value.parts, where, depth, may)

    # Messages

    def _message(self, value: BaseMessage, where: Where, depth: int, may: bool) -> Any:
        cls, before = type(value), self.saved()
        kind = self.messages.get(cls)
        is_registered = kind is not None
        if kind is None:
            fix = f"to get it back as it is, call langchain_dynamodb.register_message_class({_class_name(cls)})"
            what = f"a value of type {type_name(value)}, a class that is not registered"
            if not may:
                raise unsupported(where, what, fix)
            name = full_name(cls)
            kind = self._tags.setdefault(name, MessageClass(cls, name))
            if name in self.registered.messages or kind.cls is not cls:
                return self._unknown(value, where, may)
            self._tell(where, cls, f"{what}: it is stored as its data, and comes back so; {fix}", omitted=False)
        why = "keep everything in its fields"
        try:
            fields = self.take_apart(kind, value, path_of(where))
            if not is_registered:  # who does not know the class reads the fields, and its usual type
                fields["type"] = [kind.tag, value.type]
            tree = self._nested(self.fields(fields, where, depth + 3, may=may))
            if not may or self.comes_back(tree, value, before):
                return tree
        except UnsupportedMessageError as error:
            if not may:
                raise
            why = str(error).rstrip(".")
        self.restore(before)
        return self._refused(value, where, may, f"a {type_name(value)} that cannot be stored", why)

    def _nested(self, fields: dict[str, Any]) -> Any:
        return self._marked("message", fields)

    def _final(self, tree: Any) -> Any:
        """The data of an object that will not be one again."""
        return self._marked("data", tree)


def _class_name(cls: type) -> str:
    return full_name(cls).rpartition(".")[2]
