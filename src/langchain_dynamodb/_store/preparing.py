"""Brings a session into the state that writes build on: in our format, and encrypted where this repository encrypts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from .._items.community_item import CommunityItem
from .._items.keys import SessionKey
from .._items.session_items import SessionItem, new_op
from .._protocol import rewrite
from .._protocol.expiry import Expiries, expiries
from .._protocol.pages import Destination
from .._protocol.sealed_metadata import opened_metadata, sealed_metadata
from .community_conversion import Converter
from .off_loop import off_loop_if_many
from .pending_edits import carry_out
from .retrying import preparing
from .stored_pages import Unproven
from .table import Refused


@dataclass(frozen=True)
class Preparer(Converter):
    """Conversions (rule 4): of what langchain_community wrote, and of what was written plain or with another key."""

    async def prepared(
        self, key: SessionKey, item: SessionItem | CommunityItem, op: bytes, *, encrypt: bool = True
    ) -> SessionItem:
        """The session unlocked, in our format, and encrypted as this repository does it.

        No edit is under way any more, and the pages that were dropped are gone, where that can be. `op` is that of the
        operation which needs it. Without `encrypt` what is plain may stay so.
        """
        if isinstance(item, CommunityItem):
            return await self.convert(key, item, op)
        item = await self.steps.vault.unlocked(key, item)
        with preparing():
            item = await carry_out(self.steps, key, item)
        if not self.steps.is_elsewhere(item):  # whose home may use the numbers of these pages again
            item = await self.steps.sweep(key, item)
        return await self.encrypt(key, item, op) if encrypt and self.steps.vault.must_encrypt(item) else item

    async def encrypt(self, key: SessionKey, item: SessionItem, op: bytes, *, plain: bool = False) -> SessionItem:
        """The same messages under a new key of this repository, or (`plain`) under none, in one commit.

        Nothing that anybody reads is changed by that. Raises `Refused` where `item` is not the current state any more.
        """
        to = Destination(key, self.steps.codec, self.steps.sizes) if plain else await self.steps.destination(key, None)
        try:
            lines = await self.reader.lines(key, item)
        except Unproven:
            raise Refused(None, retried=False) from None
        await self.steps.table.check_pages(key, item)
        metadata = sealed_metadata(opened_metadata(item.metadata, key, self.steps.to(key, item).codec), to)
        now = self.steps.clock()
        stamp = None if item.expires is None else expiries(now, self.ttl, item).of(item)
        times = Expiries(None, stamp)  # the session's own stays
        deciding = partial(rewrite.decide, lines, item, to, new_op(), now, times)
        decision = await off_loop_if_many(lines, deciding)
        with preparing():
            if isinstance(decision, rewrite.Exchange):
                new = await self.steps.compare_and_set(key, item, rewrite.reencrypted(decision.new, item, to, metadata))
                return await self.steps.sweep(key, new)
            written = decision.commit
            batch = decision._replace(commit=lambda start: rewrite.reencrypted(written(start), item, to, metadata))
            intent = self.steps.intent(op, "rewrite", item.generation, batch.numbers)
            return await self.steps.under_intent(key, item, intent, batch)
