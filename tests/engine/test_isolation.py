"""Nobody reads or destroys another session's data by the choice of a session id or key."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory, TableFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.errors import CorruptSessionError, InvalidInputError
from support import SMALL, human, remembered, scan

pytestmark = pytest.mark.once

E_ACUTE = ("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}")
assert unicodedata.normalize("NFC", E_ACUTE[1]) == E_ACUTE[0]
# Names of neighbours that look like, contain or continue each other, and (by G and N) the keys of a's pages.
TEXT_NAMES = [
    "a", "A", "a ", " a", "a\x00", "a\n", "a~", "a~lc", "a~lc~", "a~lc~G", "a~lc~G~", "a~lc~G~N0", "a~lc~G~N\n",
    "a~LC~G~N", "a~lc~G~0", "~lc~G~N ", "~", "\x00", "ab", "b", "a/b", "a#b", "a:b", "a%7Elc", "%", "*", "?", "'", '"',
    "#a", ":a", *E_ACUTE,
    "\N{ANGSTROM SIGN}", "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}", "\N{CYRILLIC SMALL LETTER A}",
    "a\N{ZERO WIDTH SPACE}", "\N{PILE OF POO}", "\uffff", "null", "0", "x" * 2021,
]  # fmt: skip


def neighbours(shape: str, page: str) -> list[Any]:
    """Sessions whose keys come as close as they can to those of "a", whose first page has the suffix `page`."""
    generation, number = page[4:18], page[19:]
    texts = [name.replace("G", generation).replace("N", number) for name in TEXT_NAMES]
    if shape == "S":
        return texts
    if shape == "B":
        return [{"PK": text.encode()} for text in texts] + [{"PK": b"a\xff"}]
    if shape == "S,S":
        pairs = [("a", text) for text in texts if len(text) < 990] + [(text, "a") for text in texts]
        return [{"PK": pk, "SK": sk} for pk, sk in dict.fromkeys(pairs)]
    return [{"PK": text, "SK": n} for text in texts[:20] for n in (0, 1, -1, 10)]  # S,N


@pytest.mark.once
@pytest.mark.real_engine
@pytest.mark.parametrize(
    ("shape", "keys", "first"),
    [
        ("S", ("SessionId", None), "a"),
        ("B", ("PK:B", None), {"PK": b"a"}),
        ("S,S", ("PK", "SK"), {"PK": "a", "SK": "a"}),
        ("S,N", ("PK", "SK:N"), {"PK": "a", "SK": 0}),
    ],
)
async def test_neighbours_neither_see_nor_destroy_each_other(
    make_repository: RepositoryFactory, make_table: TableFactory, shape: str, keys: tuple[str, str | None], first: Any
) -> None:
    """Every neighbour is written, paged, rewritten and deleted in turn; all others stay exactly as they are."""
    table = make_table(*keys)
    sessions = make_repository(table, sizes=SMALL)
    await fill(sessions, first)
    key = sessions._key(first)
    item = remembered(sessions, first)
    assert item.pages > 0
    suffix = re.search(r"~lc~.*", str(key.page(item.generation, 0)))
    assert suffix
    named = [session for session in neighbours(shape, suffix[0][:27]) if sessions._key(session) != key]
    own = {str(sessions._key(session)): [HumanMessage(f"{n}")] for n, session in enumerate(named)}
    assert len(own) == len(named)
    for session in named:
        await sessions.append(session, own[str(sessions._key(session))], expected_version=0)
    for session in named[::4]:  # these become long
        own[str(sessions._key(session))] += await fill(sessions, session)
    untouched = [item for item in await scan(sessions) if str(item).count("lc_")]
    for session in named[::2]:
        await sessions.delete(session)
        del own[str(sessions._key(session))]
    stranger = make_repository(table, sizes=SMALL)
    for session in named:
        chat = await stranger.read(session)
        assert chat.messages == own.get(str(sessions._key(session)), [])
    for session in named[1::2]:
        await stranger.replace(session, [human(600)])
        await stranger.delete(session)
    left = await scan(sessions)
    assert all(item in untouched for item in left)
    assert len(left) == item.pages + 1
    assert len((await make_repository(table).read(first)).messages) == 12


async def fill(sessions: AsyncSessionRepository, session: Any) -> list[HumanMessage]:
    """Append until there are pages."""
    sent = [human(90) for _ in range(12)]
    for message in sent:
        await sessions.append(session, [message])
    return sent


@pytest.mark.parametrize("name", ["a\ud800", "\udfff", "a" + "~lc~" + "0" * 14 + "~" + "0" * 8, "", "x" * 2022])
async def test_names_that_are_refused_touch_nothing(make_repository: RepositoryFactory, name: str) -> None:
    """Lone surrogates, page keys, empty and over-long names are refused by every operation."""
    sessions = make_repository()
    await sessions.append("a", [HumanMessage("mine")])
    before = await scan(sessions)
    for call in (sessions.read, sessions.delete, lambda s: sessions.append(s, [HumanMessage("x")])):
        with pytest.raises(InvalidInputError):
            await call(name)
    assert await scan(sessions) == before


async def test_a_page_is_no_session(make_repository: RepositoryFactory) -> None:
    """Somebody whose own code lists the table's keys and passes them on gets an error for a page, not its contents."""
    sessions = make_repository(sizes=SMALL)
    await fill(sessions, "a")
    page = sessions._key("a").page(remembered(sessions, "a").generation, 0)["SessionId"]["S"]
    for call in (sessions.read, sessions.delete):
        with pytest.raises(InvalidInputError, match="ends like the key of a page"):
            await call(page)


async def test_a_damaged_number_never_leads_to_another_session(make_repository: RepositoryFactory) -> None:
    """With 2**32 pages a page key would have a digit more, which is a name that a session may have."""
    sessions = make_repository(sizes=SMALL)
    await sessions.append("a", [HumanMessage("x")])
    (item,) = await scan(sessions)
    generation = int(item["lc_generation"]["N"])
    victim = f"a~lc~{generation:014x}~{2**32:08x}"
    await sessions.append(victim, [HumanMessage("victim")])
    damaged = {**item, "lc_reach": {"N": str(2**32)}, "lc_pages": {"N": str(2**32 - 5)}}
    await sessions._connection.call("put_item", {"TableName": sessions.table_name, "Item": damaged}, write=True)
    with pytest.raises(CorruptSessionError, match="lc_reach"):
        await make_repository().delete("a")
    assert (await sessions.read(victim)).messages == [HumanMessage("victim")]
