"""Metadata of encrypted sessions: a block of its own, in place of the map. No I/O."""

from __future__ import annotations

import orjson

from .._dynamodb.attribute_values import AttributeValue
from .._items.attribute_names import METADATA
from .._items.keys import SessionKey
from .._items.parsing import undecodable
from .._items.sizes import MAX_INFLATED
from ..codec.messages import Codec, UndecodableError
from ..codec.sealing import TamperedError
from .pages import Destination

_PART = "metadata"


def sealed_metadata(metadata: AttributeValue | None, to: Destination) -> AttributeValue | None:
    """The metadata as it is stored."""
    if metadata is None or to.cipher is None:
        return metadata
    return {"B": to.codec.pack([orjson.dumps(metadata)], to.key.place(part=_PART))}


def opened_metadata(stored: AttributeValue | None, key: SessionKey, codec: Codec) -> AttributeValue | None:
    """The inverse; raises `DecryptionError`, also for a map that is not encrypted in a session that is."""
    if stored is None or codec.cipher is None:
        return stored
    try:
        if "B" not in stored:
            raise TamperedError("not encrypted, in a session that is")
        (text,) = codec.unpack(stored["B"], key.place(part=_PART), MAX_INFLATED)
        metadata: AttributeValue = orjson.loads(bytes(text))
    except UndecodableError as error:
        raise undecodable(key, METADATA, error) from error
    return metadata
