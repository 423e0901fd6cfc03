"""The truth: what a session holds, read straight from the engine's items by the rules of docs/storage.md.

It knows the layout, but shares no code with the package's reader, so that the two can be compared.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from langchain_dynamodb.codec.dictionary import DICTIONARY_1

from .engine import Engine, Key
from .expressions import Item, Value

Tags = tuple[str, ...]
SESSION, TABLE = "s", "Sessions"
SESSION_KEY: Key = (("S", SESSION),)
HISTORY = "History"
TTL = "expireAt"
MASTER_KEY = b"k" * 32
GUARD = bytes.fromhex("01000000000300")


class Damaged(AssertionError):
    """The session item promises what is not there: a reader would see a gap."""


LOST = "?"
"""Before the tag of a message whose page was lost by hand: `Engine.lost` has what it was."""


class View(NamedTuple):
    """A session at one moment. `tags` names its messages; None: readers see no session, whatever is stored.

    `version` is the one stored, 0 without an item. `hidden`: an item that is there all the same (unborn, or being
    deleted). `stored` is the item itself. `pages_end` is the earliest stamp of its pages, None where they stay.
    """

    tags: Tags | None = None
    version: int = 0
    generation: int = 0
    meta: str = ""
    expires: int | None = None
    pages: int = 0
    first_page: int = 0
    community: bool = False
    stored: Item | None = None
    pages_end: int | None = None

    @property
    def content(self) -> tuple[Tags | None, str]:
        """What a change has to be visible in."""
        return self.tags, self.meta

    @property
    def hidden(self) -> bool:
        """Whether an item is stored that nobody sees."""
        return self.tags is None and self.stored is not None

    @property
    def damaged(self) -> bool:
        """Whether a page is missing."""
        return any(tag.startswith(LOST) for tag in self.tags or ())


def last_with_id(tags: Tags | None, id: str) -> int | None:
    """Place of the newest message of that id which is not lost: a message's tag is its id, until it is edited."""
    tags = tags or ()
    return next((i for i in reversed(range(len(tags))) if (tags[i].partition("@")[2] or tags[i]) == id), None)


def there(tags: Tags | None) -> Tags:
    """What is left of the messages."""
    return tuple(tag for tag in tags or () if not tag.startswith(LOST))


ABSENT = View()


def look(engine: Engine) -> View:
    """The session as it is; raises `Damaged`."""
    item = engine.items.get(SESSION_KEY)
    if item is None:
        return ABSENT
    if "lc_version" not in item:
        return _community(item)
    version, generation = _int(item, "lc_version"), _int(item, "lc_generation")
    pages, first = _int(item, "lc_pages") - _int(item, "lc_reused"), _int(item, "lc_first_page")
    intent = item.get("lc_intent", {"M": {}})["M"]
    hidden = "lc_created" not in item or intent.get("kind") == {"S": "delete"}
    tags = None if hidden else _paged(engine, item, generation, first, pages) + _tail(item)
    if tags is not None and len(tags) != _int(item, "lc_count") - _int(item, "lc_trimmed"):
        raise Damaged(f"lc_count - lc_trimmed is not {len(tags)}")
    meta = "" if hidden or "lc_metadata" not in item else _meta(item)
    stamps = () if tags is None else (_stamp(page) for page in _pages(engine, generation, first, pages))
    pages_end = min((stamp for stamp in stamps if stamp is not None), default=None)
    return View(tags, version, generation, meta, _stamp(item), pages, first, False, item, pages_end)


def _meta(item: Item) -> str:
    stored = item["lc_metadata"]
    if "lc_key" not in item:
        return repr(stored)
    block = _opened(item, stored["B"], "None None metadata")
    return repr(json.loads(zlib.decompressobj(-15, zdict=DICTIONARY_1).decompress(block[5:])))


def _pages(engine: Engine, generation: int, first: int, pages: int) -> list[Item]:
    keys = [page_key(generation, number) for number in range(first, pages)]
    return [engine.items[key] for key in keys if key in engine.items]


def page_key(generation: int, number: int) -> Key:
    """Where a page of the session is."""
    return (("S", f"{SESSION}~lc~{generation:014x}~{number:08x}"),)


def _community(item: Item) -> View:
    if HISTORY not in item:
        return View(None, 0, expires=_stamp(item), community=True, stored=item)
    entries = item[HISTORY]["L"]
    tags = tuple(_tag(entry["M"]["data"]["M"]["content"]["S"]) for entry in entries if "M" in entry)
    if len(tags) < len(entries):
        raise Damaged("entries of two formats in one list")
    return View(tags, _hash(item[HISTORY]), expires=_stamp(item), community=True, stored=item)


def _paged(engine: Engine, item: Item, generation: int, first: int, pages: int) -> Tags:
    """The messages of the committed pages, proved backwards by versions and indices."""
    tags: Tags = ()
    cut, end = _int(item, "lc_page_version"), _int(item, "lc_tail_start")
    data = b""
    parts = 0
    lost = False
    for number in range(pages - 1, first - 1, -1):
        key = page_key(generation, number)
        page = engine.items.get(key)
        if page is None:
            page, lost = engine.lost.get(key), True
        if page is None:
            raise Damaged(f"page {number} is missing")
        numbers = [*map(int, page["lc_chain"]["S"].split(" ")), 0, 0]
        own, at, previous, begin, messages, part_of, edited, removed = numbers[:8]
        if own != number or not at == _int(page, "lc_cut") == cut or begin + messages + removed != end:
            raise Damaged(f"page {number} is not the one that its successor names")
        cut, end = previous, begin
        if messages or removed:
            if parts:
                raise Damaged(f"page {number}: a message lacks its first parts")
            parts, data = part_of - 1, _opened(item, _data(engine, page, generation, number), f"{generation} {number} ")
        elif parts:
            block = _data(engine, page, generation, number)
            parts, data = parts - 1, _opened(item, block, f"{generation} {number} ") + data
        else:
            raise Damaged(f"page {number}: a part of no message")
        if not parts:
            found = tags_of_block(data)
            if len(found) != (messages or len(found) * (not removed)):
                raise Damaged(f"page {number} does not hold {messages} messages")
            found = _edited(item, number, at, edited, found)
            tags = (tuple(LOST + tag for tag in found) if lost else found) + tags
            lost = False
    if parts or end != _int(item, "lc_trimmed"):
        raise Damaged("the first page does not begin where the session does")
    return tags


def _data(engine: Engine, page: Item, generation: int, number: int) -> bytes:
    """What a page holds, wherever that is."""
    if "B" in page["lc_data"]:
        block: bytes = page["lc_data"]["B"]
        return block
    token, size, sha256, _ = page["lc_data"]["S"].split(" ")
    found = engine.objects.get(f"{TABLE}!/{SESSION}/{generation:014x}/{number:08x}-{token}")
    if found is None or (len(found), hashlib.sha256(found).hexdigest()) != (int(size), sha256):
        raise Damaged(f"the object of page {number} is {'missing' if found is None else 'another'}")
    return found


def _edited(item: Item, number: int, cut: int, edited: int, found: Tags) -> Tags:
    """The messages of a page as the session item says, which the page follows."""
    if edited > _int(item, "lc_edited"):
        raise Damaged(f"page {number} was edited at {edited}, later than the session knows")
    edit = item.get("lc_edit", {"M": None})["M"]
    if edit is None or _int(item, "lc_edited_page") != number or max(edited, cut) >= _int(item, "lc_edited"):
        return found
    at = _int(edit, "position")
    if "data" not in edit:
        return found[:at] + found[at + 1 :]
    block = _opened(item, edit["data"]["B"], f"{_int(item, 'lc_generation')} {number} edit {at}")
    return found[:at] + tags_of_block(block) + found[at + 1 :]


def _tail(item: Item) -> Tags:
    tags: Tags = ()
    for entry in item[HISTORY]["L"]:
        if "B" not in entry:
            raise Damaged("an entry of another format in the tail")
        if entry["B"] != GUARD:
            tags += tags_of_block(_opened(item, entry["B"], "None None "))
    return tags


def _opened(item: Item, block: bytes, associated: str) -> bytes:
    """A block as it was before it was encrypted, where the session is."""
    return _decrypted(item["lc_key"]["B"], block, associated) if "lc_key" in item else block


@lru_cache(50_000)
def _decrypted(stored: bytes, block: bytes, associated: str) -> bytes:
    try:
        return _session_key(stored).decrypt(block[:12], block[12:], associated.encode())
    except InvalidTag:
        raise Damaged(f"a block that is not of {associated!r}, or under another key") from None


@lru_cache(5_000)
def _session_key(stored: bytes) -> AESGCM:
    salt, nonce, wrapped = stored[1:17], stored[17:29], stored[29:]
    data_key = AESGCM(MASTER_KEY).decrypt(nonce, wrapped, b"langchain-dynamodb data key 1")
    name = b"".join(len(part).to_bytes(4, "big") + part for part in (b"SessionId", b"S", SESSION.encode()))
    return AESGCM(hmac.digest(data_key, b"langchain-dynamodb session key 1" + salt + name, "sha256"))


@lru_cache(50_000)
def tags_of_block(block: bytes) -> Tags:
    """Names of the messages of one block."""
    text = zlib.decompressobj(-15, zdict=DICTIONARY_1).decompress(block[5:])
    return tuple(_tag(json.loads(line)["content"]) for line in text.split(b"\n") if line)


def _tag(content: str) -> str:
    return content.partition(" ")[0]


def _hash(history: Value) -> int:
    """The version that an item of langchain_community is given: a number that changes with its content."""
    text = json.dumps(history, sort_keys=True, default=repr).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") + 1


def _int(item: Item, name: str, default: int = 0) -> int:
    value: Any = item.get(name)
    return default if value is None else int(value["N"])


def _stamp(item: Item) -> int | None:
    return _int(item, TTL) if TTL in item else None
