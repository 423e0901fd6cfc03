"""The user's own top-level attributes on a session item: what may be set there, and what comes back. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from .._checks import is_utf8, short
from .._dynamodb.attribute_values import (
    AttributeValue,
    Changes,
    Item,
    attribute_bytes,
    from_attribute,
    is_storable,
    to_attribute,
)
from ..errors import InvalidInputError
from .keys import RESERVED_PREFIX
from .sizes import Sizes


def own_attributes(attributes: object, taken: Collection[str]) -> Changes:
    """Attributes to set as DynamoDB takes them, None for one to remove; raises `InvalidInputError`.

    None may have one of the `taken` names: those of the key, the history and the TTL attribute.
    """
    if not isinstance(attributes, Mapping):
        raise InvalidInputError(f"attributes={short(attributes)} must be a mapping of names to values")
    return {check_own_name(name, taken): _to_stored(name, value) for name, value in attributes.items()}


def check_own_name(name: object, taken: Collection[str]) -> str:
    """Raise `InvalidInputError` unless an attribute of the user's own may have this name."""
    if not isinstance(name, str) or not name or not is_utf8(name):
        raise InvalidInputError(f"attribute name {short(name)} must be a text (UTF-8) that is not empty")
    if name in taken or name.startswith(RESERVED_PREFIX):
        raise InvalidInputError(
            f"attribute {short(name)} has the name of the key, of the history or TTL attribute, or one of ours "
            f"(they begin with {RESERVED_PREFIX!r}): choose another name"
        )
    return name


def check_own_size(changes: Changes, sizes: Sizes) -> None:
    """Refuse attributes above their bound: every append pays for them."""
    size = sum(len(name.encode()) + attribute_bytes(value) for name, value in changes.items() if value is not None)
    if size > sizes.attributes:
        raise InvalidInputError(
            f"attributes have {size} bytes, more than the {sizes.attributes} allowed: every append pays for them; "
            "keep large things elsewhere, or raise Sizes(attributes=...)"
        )


def _to_stored(name: str, value: object) -> AttributeValue | None:
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray)):
        return {"B": bytes(value)}
    # boto3 takes numbers only so; the key of an index may be one.
    if isinstance(value, Decimal) and value.is_finite() and is_storable(value):
        return {"N": format(value, "f")}
    return to_attribute(value, f"attributes[{name!r}]")


def to_python(item: Item) -> dict[str, Any]:
    """Attributes as Python values, whoever wrote them: sets and bytes too."""
    return {name: _to_python(value) for name, value in item.items()}


def _to_python(value: AttributeValue) -> Any:
    ((kind, content),) = value.items()
    if kind == "B":
        return content
    if kind in ("SS", "NS", "BS"):
        return {_to_python({kind[0]: member}) for member in content}
    if kind == "L":
        return [_to_python(entry) for entry in content]
    if kind == "M":
        return to_python(content)
    whole = from_attribute(value)
    # What a float cannot hold stays as exact as it was written.
    return Decimal(content) if isinstance(whole, float) and Decimal(content) != Decimal(repr(whole)) else whole


def metadata_changes(metadata: object) -> Changes:
    """The names to set, None for one to remove; raises `InvalidInputError`."""
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(f"metadata {metadata!r:.80} must be a mapping of names to values")
    stored = to_attribute(metadata, "metadata")["M"]
    return {name: None if metadata[name] is None else value for name, value in stored.items()}


def merged(metadata: AttributeValue | None, changes: Changes) -> AttributeValue:
    """The metadata after these changes."""
    values = {**(metadata or {"M": {}})["M"], **changes}
    return {"M": {name: value for name, value in values.items() if value is not None}}


def check_metadata(metadata: AttributeValue, sizes: Sizes) -> None:
    """Refuse metadata above its bound: every append pays for it."""
    size = attribute_bytes(metadata)
    if size > sizes.metadata:
        raise InvalidInputError(
            f"metadata would have {size} bytes, more than the {sizes.metadata} allowed: every append pays for it; "
            "keep large things elsewhere, or raise Sizes(metadata=...)"
        )
