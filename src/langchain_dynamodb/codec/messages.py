"""Messages as bytes: one line of JSON per message, and blocks of deflated lines.

A line is a flat JSON object: ``type`` and those fields of the message that differ from their defaults, extra fields
among them. It reads back as an equal message of the same class: the fields are checked against the class's
annotations and then taken as they are, because LangChain's own validators would derive and rewrite some of them.
`encode_message` reads back what it wrote and refuses what does not compare equal.

Nothing here does I/O, and reading runs no code that the bytes could choose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import langchain_core.messages as lc
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from .._checks import short
from ..errors import InvalidInputError, MessageTooLargeError, UnsupportedMessageError
from .lines import UndecodableError, from_json, from_json_each, pack, refuse_unnative, to_json, unpack, unpack_each

__all__ = [
    "Codec",
    "Place",
    "UndecodableError",
    "decode_line",
    "decode_lines",
    "encode",
    "encode_message",
    "encode_messages",
    "from_dump",
    "from_native",
    "is_instruction",
    "pack",
    "register_message_class",
    "to_native",
    "unpack",
]

_BUILT_IN: tuple[type[BaseMessage], ...] = (
    lc.HumanMessage,
    lc.HumanMessageChunk,
    lc.AIMessage,
    lc.AIMessageChunk,
    lc.SystemMessage,
    lc.SystemMessageChunk,
    lc.ChatMessage,
    lc.ChatMessageChunk,
    lc.FunctionMessage,
    lc.FunctionMessageChunk,
    lc.ToolMessage,
    lc.ToolMessageChunk,
    lc.RemoveMessage,
)
_ALWAYS = object()  # the "default" of a field that is always written


class _Kind:
    """How one message class is written: its tag, its fields and their defaults."""

    def __init__(self, cls: type[BaseMessage], tag: str) -> None:
        self.cls = cls
        self.tag = tag
        fields = cls.model_fields
        self.names = frozenset(fields)
        self.defaults = [(name, _default(field)) for name, field in fields.items() if name != "type"]
        self.usual_type = fields["type"].default
        self.allows_extra = cls.model_config.get("extra") == "allow"
        self.has_post_init = cls.model_post_init is not BaseModel.model_post_init

    @cached_property
    def validate(self) -> Callable[[dict[str, Any]], Any]:
        """Check the types of stored fields, fill in defaults: the class's annotations without its own validators.

        What it returns has the layout of a message and becomes one by taking on its class.
        """
        fields: dict[str, Any] = {name: (field.annotation, field) for name, field in self.cls.model_fields.items()}
        fields["type"] = (str, self.cls.model_fields["type"].default)
        # Strict: what is read must already be of the right type, since it is taken as it is.
        config = ConfigDict(strict=True, populate_by_name=True, protected_namespaces=())
        shape = create_model(self.cls.__name__, __config__=config, **fields)
        validate: Callable[[dict[str, Any]], Any] = shape.__pydantic_validator__.validate_python
        return validate


_by_tag: dict[str, _Kind] = {}
_by_class: dict[type, _Kind] = {}


def register_message_class(cls: type[BaseMessage], name: str | None = None) -> None:
    """Let messages of your own class be stored, marked with `name`, by default its module and qualified name.

    The name is stored with each message, so give one if the class may move. To read what was stored under an
    earlier name, register the class under that name first and then under the new one, which is written from then on.
    Registering a redefined class (same module and qualified name) replaces it. The class must be registered in each
    process that reads its messages. Its fields must hold JSON types.

    Raises InvalidInputError for anything but a subclass of BaseMessage of your own and for a name that is taken.
    """
    given: object = cls
    if not (isinstance(given, type) and issubclass(given, BaseMessage)) or given in (BaseMessage, *_BUILT_IN):
        raise InvalidInputError(f"{short(given)} cannot be registered; give a subclass of BaseMessage of your own.")
    tag: object = _full_name(cls) if name is None else name
    if not isinstance(tag, str) or not tag:
        raise InvalidInputError(f"The name {short(tag)} cannot be used; give a text that is not empty.")
    known = _by_tag.get(tag)
    if known and _full_name(known.cls) != _full_name(cls):
        raise InvalidInputError(f"The name {short(tag)} is taken by {_full_name(known.cls)}; give another name.")
    if known:
        _by_class.pop(known.cls, None)
    _register(cls, tag)


def encode_message(message: BaseMessage, path: str = "message") -> bytes:
    """Return the message as one line of JSON without a newline.

    Raises UnsupportedMessageError where it would not come back equal, InvalidInputError if it is no message.
    """
    kind = _kind_of(message, path)
    line, plain = to_json(_changed_fields(kind, message, path), path)
    _check_comes_back(message, plain, path)
    return line


def encode_messages(messages: Sequence[BaseMessage]) -> list[bytes]:
    """Return one line per message; error paths begin with ``messages[i]``."""
    given: object = messages
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes, bytearray)):
        raise InvalidInputError(f"messages is {short(given)}; give a list of messages.")
    return [encode_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def encode(messages: Sequence[BaseMessage], most: int) -> list[bytes]:
    """Return one line per message of what is to be stored, each of at most so many bytes.

    Raises InvalidInputError and its subclasses UnsupportedMessageError and MessageTooLargeError.
    """
    lines = encode_messages(messages)
    for i, line in enumerate(lines):
        if isinstance(messages[i], lc.RemoveMessage):
            raise UnsupportedMessageError(
                f"messages[{i}] is a RemoveMessage (id {short(messages[i].id)}): it tells a graph what to do and says "
                "nothing. Leave it out; to remove stored messages, use truncate or replace",
                path=f"messages[{i}]",
            )
        if len(line) > most:
            raise MessageTooLargeError(
                f"messages[{i}] has {len(line)} bytes when encoded, more than the {most} allowed: store large "
                "content elsewhere and keep a reference, or raise Sizes(message=...)",
                size=len(line),
                limit=most,
            )
    return lines


def is_instruction(message: BaseMessage) -> bool:
    """Whether it tells a graph what to do and says nothing; langchain_community stores these too."""
    return isinstance(message, lc.RemoveMessage)


def decode_line(line: bytes) -> BaseMessage:
    """Return the message that `encode_message` wrote; raises UndecodableError for any other bytes."""
    try:
        return _assemble(from_json(line))
    except MemoryError:
        raise
    except Exception as error:  # validators of any class may raise anything
        raise UndecodableError(_reason(error)) from None


def decode_lines(lines: Sequence[bytes]) -> list[BaseMessage]:
    """Return the messages of all lines; the UndecodableError of a bad one carries its index."""
    stored, wrong = from_json_each(lines)
    messages: list[BaseMessage] = []
    try:
        for fields in stored:
            messages.append(_assemble(fields))  # noqa: PERF401 - the length tells which line was bad
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise UndecodableError(_reason(error), len(messages)) from None
    if wrong is not None:
        raise UndecodableError(_reason(wrong), len(messages))
    return messages


def to_native(message: BaseMessage, path: str = "message") -> dict[str, object]:
    """Return what `langchain_community` stores for a message, in plain JSON types that DynamoDB's own can hold.

    Raises like `encode_message`, and for registered classes, which `langchain_community` cannot read back.
    """
    kind = _kind_of(message, path)
    own_type = _value(message, "type", path)
    if kind.cls not in _BUILT_IN or own_type != kind.tag:
        what = f"{path} is a {kind.cls.__qualname__} of type {short(own_type)}"
        fix = 'langchain_community could not read it back; use item_format="pages"'
        raise UnsupportedMessageError(f"{what}: {fix}.", path=path)
    fields = {name: _value(message, name, path) for name in kind.cls.model_fields} | _extra(kind, message, path)
    _, plain = to_json(fields, path)
    refuse_unnative(plain, path)
    _check_comes_back(message, dict(plain), path)
    return {"type": kind.tag, "data": plain}


def from_native(value: object) -> BaseMessage:
    """Return the message of what `langchain_community` stored, numbers already being int or float.

    Where fields are missing or of another type (an older LangChain wrote them) the class's constructor completes
    and converts them, as it does for `langchain_community`. Raises UndecodableError.
    """
    try:
        tag, data = value["type"], value["data"]  # type: ignore[index]
        kind = _by_tag[tag]
        if kind.names <= data.keys() and data["type"] == tag:
            try:
                return _assemble(dict(data))
            except ValidationError:
                pass
        return kind.cls(**data)
    except MemoryError:
        raise
    except Exception as error:
        raise UndecodableError(_reason(error)) from None


def from_dump(value: Mapping[str, Any]) -> BaseMessage:
    """Return the message of what its `model_dump` gave, in Python or through JSON; raises ValueError.

    A dump names no class: it is the one with this type and the most of these fields, a registered one if need be.
    """
    data = dict(value)
    of_type = [kind for kind in _by_class.values() if kind.usual_type == data.get("type")]
    fitting = [kind for kind in of_type if kind.names <= data.keys()] or of_type[:1]
    if not fitting:
        told = "if it is of your own class, call register_message_class for it"
        raise ValueError(f"no message class has the type {short(data.get('type'))}; {told}")
    kind = max(fitting, key=lambda kind: len(kind.names))
    try:
        return _assemble({**data, "type": kind.tag})
    except ValueError:  # a field is missing, or to be converted
        return kind.cls(**data)


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _register(cls: type[BaseMessage], tag: str) -> None:
    _by_tag[tag] = _by_class[cls] = _Kind(cls, tag)


def _default(field: FieldInfo) -> object:
    """Return the default that need not be written.

    Others are always written: they may equal something else ([1] == [True], 0.0 == -0.0) or differ each time.
    """
    if field.default_factory is list:
        return []
    if field.default_factory is dict:
        return {}
    return field.default if type(field.default) in (type(None), str, bool, int) else _ALWAYS


def _kind_of(message: BaseMessage, path: str) -> _Kind:
    given: object = message
    kind = _by_class.get(type(given))
    if kind:
        return kind
    if not isinstance(given, BaseMessage):
        raise InvalidInputError(f"{path} is {short(given)}, not a message; give a langchain_core message.")
    problem = f"{path} is a {_full_name(type(given))}, a class that could not be restored"
    fix = "use a message class that says who speaks" if type(given) is BaseMessage else "call register_message_class"
    raise UnsupportedMessageError(f"{problem}; {fix}.", path=path)


def _changed_fields(kind: _Kind, message: BaseMessage, path: str) -> dict[str, Any]:
    own_type = _value(message, "type", path)
    fields: dict[str, Any] = {"type": kind.tag if own_type == kind.usual_type else [kind.tag, own_type]}
    for name, default in kind.defaults:
        value = _value(message, name, path)
        if type(value) is not type(default) or value != default:
            fields[name] = value
    fields.update(_extra(kind, message, path))
    return fields


def _value(message: BaseMessage, name: str, path: str) -> Any:
    try:
        return message.__dict__[name]
    except KeyError:
        raise UnsupportedMessageError(f"{path}.{name} is not set; give it a value.", path=f"{path}.{name}") from None


def _extra(kind: _Kind, message: BaseMessage, path: str) -> dict[str, Any]:
    extra = message.model_extra or {}
    for name in extra.keys() & kind.names:
        where = f"{path}.model_extra[{name!r}]"
        raise UnsupportedMessageError(f"{where} has the name of a field; use another name.", path=where)
    return extra


def _assemble(stored: dict[str, Any]) -> BaseMessage:
    """Build the message of a line's object (which it takes apart) or of a native map's complete data."""
    tag = stored.pop("type")
    if isinstance(tag, list):  # a message whose type is not the usual one of its class
        tag, stored["type"] = tag
    kind = _by_tag.get(tag)
    if kind is None:
        name = tag if re.fullmatch(r"[\w.<>-]{1,200}", tag) else "(not a name)"
        raise UndecodableError(f"unknown message class {name}; if it is yours, call register_message_class for it")
    message: BaseMessage = kind.validate(stored)
    extra: dict[str, Any] = {}
    if not kind.names.issuperset(stored):
        if not kind.allows_extra:
            raise UndecodableError(f"fields that {kind.cls.__qualname__} does not have")
        extra = {name: stored.pop(name) for name in list(stored) if name not in kind.names}
        message.__pydantic_fields_set__.update(extra)
    message.__dict__.update(stored)
    object.__setattr__(message, "__pydantic_extra__", extra if kind.allows_extra else None)
    object.__setattr__(message, "__class__", kind.cls)
    if kind.has_post_init:
        message.model_post_init(None)
    return message


def _check_comes_back(message: BaseMessage, plain: dict[str, Any], path: str) -> None:
    """Refuse what could be written but not read: a field of the wrong type, state outside the fields."""
    cls = type(message).__qualname__
    try:
        if _assemble(plain) == message:
            return
    except ValidationError as error:
        field, _, problem = _first_problem(error)
        where = f"{path}.{field}"
        raise UnsupportedMessageError(f"{where} is not valid in a {cls}: {problem}.", path=where) from None
    except Exception:  # custom classes may raise anything here
        pass
    fix = "keep everything in fields of JSON types"
    raise UnsupportedMessageError(f"{path}, a {cls}, would not come back equal; {fix}.", path=path)


def _first_problem(error: ValidationError) -> tuple[str, str, str]:
    """Return field, kind of problem and its description."""
    details = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ".".join(map(str, details["loc"][:1])), details["type"], details["msg"]


def _reason(error: Exception) -> str:
    """Say what is wrong with stored bytes without quoting them: the texts of other errors may."""
    if isinstance(error, UndecodableError):
        return error.reason
    if isinstance(error, ValidationError):
        field, problem, _ = _first_problem(error)
        return f"field {field} is not valid ({problem})"
    if isinstance(error, ValueError):
        return "not the JSON of a message"
    return f"not a message ({type(error).__name__})"


for _cls in _BUILT_IN:
    _register(_cls, _cls.model_fields["type"].default)


class Place(NamedTuple):
    """Where a block of messages is stored: on the session's own item, or as the data of one of its pages.

    `session` is the session's key: (name, type, value) of each attribute, sorted by name.
    """

    session: tuple[tuple[str, str, str | bytes], ...]
    generation: int | None = None
    page: int | None = None


@dataclass(frozen=True)
class Codec:
    """Messages as lines of JSON, lines as blocks, and blocks as they are stored at their place."""

    def encode(self, messages: Sequence[BaseMessage], most: int) -> list[bytes]:
        """Each message as a line, of so many bytes at most.

        Raises `UnsupportedMessageError` and `MessageTooLargeError`.
        """
        return encode(messages, most)

    def decode(self, lines: Sequence[bytes]) -> list[BaseMessage]:
        """The messages of lines; the `UndecodableError` of a bad one carries its index."""
        return decode_lines(lines)

    def pack(self, lines: Sequence[bytes], place: Place) -> bytes:
        """Lines as the block that is stored at `place`."""
        return self.seal(pack(lines), place)

    def unpack(self, stored: bytes, place: Place, most: int) -> list[bytes]:
        """The lines of a block, of at most so many bytes; raises `UndecodableError`."""
        return unpack(self.open(stored, place), most)

    def unpack_each(self, blocks: Sequence[bytes], place: Place, most: int) -> list[list[bytes]]:
        """The lines of each block, together of so many bytes at most; the error of a bad one carries its index."""
        opened: list[bytes] = []
        for block in blocks:
            try:
                opened.append(self.open(block, place))
            except UndecodableError as error:
                raise UndecodableError(error.reason, len(opened)) from None
        return unpack_each(opened, most)

    def seal(self, block: bytes, place: Place) -> bytes:
        """What is stored of a block, or of a part of one, at `place`: the very bytes."""
        return block

    def open(self, stored: bytes, place: Place) -> bytes:
        """The inverse of `seal`; raises `UndecodableError`."""
        return stored
