"""Compares what the clients do and are told with the truth. Every write that the engine takes is looked at, at once.

The engine is ours, so the order of all changes is known and so is who made each. Nothing has to be searched for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from langchain_dynamodb.errors import (
    CorruptSessionError,
    IdempotencyError,
    IncompleteSessionError,
    ItemFormatError,
    MessageNotFoundError,
    OutcomeUnknownError,
    SessionBusyError,
    SessionNotFoundError,
    StorageError,
    VersionConflictError,
)

from .engine import Engine
from .oracle import ABSENT, Damaged, Tags, View, last_with_id, look, there
from .workload import START_MICROSECONDS, Call

MAX_REQUESTS = 150  # of one call
PATIENCE_SECONDS = 30.0  # docs/consistency.md
LONGEST_WAIT = PATIENCE_SECONDS + 5.0  # of one call, its requests' own time aside
MARGIN_SECONDS = 29 * 86_400
ROUNDING_SECONDS = 2  # of a stamp, which is in whole seconds


class Violation(AssertionError):
    """A promise was broken."""


class State(NamedTuple):
    """What the session is from one write on; `cause` made that write."""

    view: View
    cause: Call | None
    time: float


class Checker:
    """All states of the session, and the calls that explain them."""

    def __init__(self, engine: Engine, now: Callable[[], float]) -> None:
        self.engine = engine
        self.now = now
        self.states = [State(look(engine), None, 0.0)]
        self.calls: list[Call] = []
        self.applied: dict[object, list[tuple[Call, int]]] = {}

    @property
    def view(self) -> View:
        """The session as it is now."""
        return self.states[-1].view

    # --- Calls ---

    def begin(self, call: Call) -> None:
        """A client makes a call."""
        call.begin = len(self.states) - 1
        call.begun = self.now()
        call.began_at = call.process.clock()
        self.calls.append(call)

    def end(self, call: Call) -> None:
        """It returned, or raised."""
        call.end = len(self.states) - 1
        call.ended = self.now()
        kind, value = call.outcome
        if call.requests > MAX_REQUESTS:
            raise Violation(f"{call} made {call.requests} requests")
        waited = call.ended - call.begun - call.under_way
        if call.op.kind != "pause" and waited > LONGEST_WAIT:
            raise Violation(f"{call} waited for {waited:.1f} s")
        if kind == "ok":
            getattr(self, f"_ok_{call.op.kind}")(call, value)
        elif kind == "error":
            self._failed(call, value)

    def _failed(self, call: Call, error: Exception) -> None:
        kind = call.op.kind
        if kind == "legacy":
            return
        if isinstance(error, OutcomeUnknownError):
            if kind in ("read", "iter"):
                raise Violation(f"{call}: a read of unknown outcome")
            return
        if call.effects and kind != "delete":
            raise Violation(f"{call} told {call.told}, but it was applied")
        if isinstance(error, VersionConflictError):
            self._conflict(call, error)
        elif isinstance(error, SessionNotFoundError):
            if not any(self._during(call, lambda view: self._unseen(view, call))):
                raise Violation(f"{call} told {call.told}, but it was there all the time")
        elif isinstance(error, MessageNotFoundError):
            if not any(self._during(call, lambda view: last_with_id(view.tags, call.target) is None)):
                raise Violation(f"{call} told {call.told}, but it was there all the time")
        elif isinstance(error, IdempotencyError):
            key = call.op.option("key")
            if not any(
                logical != call.logical and logical[0] == key for logical in self.applied if isinstance(logical, tuple)
            ):
                raise Violation(f"{call} told {call.told}, but nobody used its key")
        elif isinstance(error, SessionBusyError):
            if kind not in ("read", "iter") and call.ended - call.begun < PATIENCE_SECONDS:
                raise Violation(f"{call} was told that the session is busy after {call.ended - call.begun:.1f} s")
        elif isinstance(error, (CorruptSessionError, IncompleteSessionError)):
            if not any(self._during(call, lambda view: view.damaged)):
                raise Violation(f"{call} told {call.told}, but it was whole")
        elif isinstance(error, ItemFormatError):
            if not any(self._during(call, lambda view: not view.community and view.stored is not None)):
                raise Violation(f"{call} told {call.told}, but the item is of its format")
        elif isinstance(error, StorageError) and not call.faults:
            raise Violation(f"{call} told {call.told}, but the network did nothing to it")
        elif not isinstance(error, StorageError):
            raise Violation(f"{call} told {type(error).__name__}: {error}") from error

    def _conflict(self, call: Call, error: VersionConflictError) -> None:
        if call.op.kind == "iter":
            # Under another key the same messages are written anew.
            seen = {(state.view.content, state.view.first_page) for state in self.states[call.begin : call.end + 1]}
            if len(seen) < 2:
                raise Violation(f"{call} told of a change, but there was none")
            return
        if error.expected != call.expected or error.actual == error.expected:
            raise Violation(f"{call} at {call.expected} told {error.expected} is not {error.actual}")

        def was(view: View) -> bool:
            return view.version == error.actual or (error.actual == 0 and self._unseen(view, call))

        if not any(self._during(call, was)):
            raise Violation(f"{call} told the version is {error.actual}, which it never was meanwhile")

    def _ok_append(self, call: Call, version: int) -> None:
        if not call.tags:
            return
        applied = [index for other, index in self.applied.get(call.logical, ()) if index <= call.end]
        if not applied:
            raise Violation(f"{call} was acknowledged, but never applied")
        self._told_version(call, version, min(applied))

    def _told_version(self, call: Call, version: int, since: int) -> None:
        if not any(state.view.version == version for state in self.states[since : call.end + 1]):
            raise Violation(f"{call} returned version {version}, which the session never had since it was applied")

    def _ok_change(self, call: Call, version: int, idle: Callable[[View], bool]) -> None:
        """A change that was acknowledged took place, or had nothing to do."""
        if call.effects:
            self._told_version(call, version, call.effects[-1])
            if len(call.effects) > 1 and not self._ids_were_lost(call):
                raise Violation(f"{call} took place {len(call.effects)} times")
        elif version and not any(self._during(call, lambda view: view.version == version)):
            raise Violation(f"{call} returned version {version}, which the session never had meanwhile")
        elif not any(self._during(call, idle)):  # not at that version: what changed nothing else may have raised it
            raise Violation(f"{call} was acknowledged with version {version}, but never took place")

    def _ids_were_lost(self, call: Call) -> bool:
        """Whether langchain_community wrote its list over ours since a change took place, ids and all."""
        since = self.states[call.effects[0] : call.effects[-1]]
        return any(state.cause is not None and state.cause.op.kind == "legacy" for state in since)

    def _ok_replace(self, call: Call, version: int) -> None:
        self._ok_change(call, version, lambda view: (view.tags or ()) == call.tags)

    def _ok_truncate(self, call: Call, version: int) -> None:
        self._ok_change(call, version, lambda view: len(view.tags or ()) <= int(call.op.about))

    def _ok_edit(self, call: Call, version: int | None) -> None:
        if version is not None:
            self._ok_change(call, version, lambda view: False)

    _ok_remove = _ok_edit

    def _ok_meta(self, call: Call, version: int) -> None:
        self._ok_change(call, version, lambda view: False)

    def _ok_expire(self, call: Call, version: int) -> None:
        seconds = int(call.op.about) if call.op.about else None
        earliest, latest = (clock // 1_000_000 for clock in (call.began_at, call.process.clock()))

        def is_so(view: View) -> bool:
            if view.tags is None or seconds is None or view.expires is None:
                return view.tags is not None and seconds is view.expires is None
            return earliest <= view.expires - seconds <= latest + ROUNDING_SECONDS

        if call.effects and not is_so(self.states[call.effects[-1]].view):
            raise Violation(f"{call} let the session expire at another time")
        self._ok_change(call, version, is_so)

    def _ok_repair(self, call: Call, version: int) -> None:
        if len(call.effects) > 1:
            raise Violation(f"{call} took place {len(call.effects)} times")
        if not any(self._during(call, lambda view: view.version == version and not view.damaged)):
            raise Violation(f"{call} returned version {version}, at which the session never was whole")

    def _ok_reencrypt(self, call: Call, version: int) -> None:
        """It may take place twice; that it changes nothing which is read, `observe` sees."""
        if not any(self._during(call, lambda view: view.version == version)):
            raise Violation(f"{call} returned version {version}, which the session never had meanwhile")

    def _ok_copy(self, call: Call, tags: Tags) -> None:
        """It was the session, as far as it was to be copied, at one moment."""
        keep = int(call.op.about) if call.op.about else None
        if not any(self._during(call, lambda view: (view.tags or ())[:keep] == tags)):
            raise Violation(f"{call} made {tags}, which the session never was meanwhile")

    def _ok_fork(self, call: Call, tags: Tags) -> None:
        """Of a copy that came to no end all is left, or nothing that anybody sees; of others nothing."""
        (copy,) = (other for other in self.calls if other.name == call.op.about)
        keep = int(copy.op.about) if copy.op.about else None
        whole = {(state.view.tags or ())[:keep] for state in self.states[copy.begin :]}
        if tags and (tags not in whole or not copy.faults):
            raise Violation(f"{copy} told {copy.told}, and left {tags}")

    def _ok_delete(self, call: Call, _: None) -> None:
        if not any(self._during(call, lambda view: self._unseen(view, call))):
            raise Violation(f"{call} was acknowledged, but the session was there all the time")

    def _ok_legacy(self, call: Call, misread: str | None) -> None:
        """What it reads before others write is its own fault; but an item of ours must look like none of its own."""
        if misread is not None:
            raise Violation(f"{call} read a session of ours as {misread}, and wrote over it")

    def _ok_read(self, call: Call, result: tuple[int, Tags, int, str]) -> None:
        version, tags, count, _ = result
        limit = int(call.op.about) if call.op.about else None

        def shows(view: View) -> bool:
            if version == 0 and not tags and not count and self._unseen(view, call):
                return True
            if view.tags is None or view.version != version or count != len(view.tags):
                return False
            return tags == (view.tags if limit is None else view.tags[max(0, len(view.tags) - limit) :])

        if not any(self._during(call, shows)):
            raise Violation(f"{call} returned {result}, which the session never was meanwhile")

    def _ok_pause(self, call: Call, _: None) -> None:
        """Nothing was asked for."""

    def _ok_iter(self, call: Call, tags: Tags) -> None:
        if not any(
            self._during(call, lambda view: tags == (view.tags or ()) or (not tags and self._unseen(view, call)))
        ):
            raise Violation(f"{call} returned {tags}, which the session never was meanwhile")

    def _during(self, call: Call, test: Callable[[View], bool]) -> list[bool]:
        return [test(state.view) for state in self.states[call.begin : call.end + 1]]

    @staticmethod
    def _unseen(view: View, call: Call) -> bool:
        """Whether a client may see no session here."""
        if view.tags is None:
            return True
        return view.expires is not None and view.expires * 1_000_000 <= call.process.clock()

    # --- Writes ---

    def observe(self, cause: Call | None) -> None:
        """The engine took a write, by a request of this call (None: its own, of an expired item)."""
        before = self.view
        try:
            after = look(self.engine)
        except Damaged as damage:
            raise Violation(f"{cause or 'TTL'} damaged the session: {damage}") from None
        if after == before:
            return
        self.states.append(State(after, cause, self.now()))
        if after.pages_end is not None and not self._outlasts(after.pages_end, after.expires):
            raise Violation(f"{cause}: pages expire at {after.pages_end}, before their session ({after.expires})")
        if after.content == before.content:
            self._kept(before, after, cause)
        elif cause is not None and cause.op.kind == "legacy":
            pass
        elif after.tags is None:
            self._vanished(before, cause)
        else:
            self._changed(before, after, cause)

    def _outlasts(self, pages: int, session: int | None) -> bool:
        """Whether pages stay long enough: those of a stamp that is to be extended next have a month for that."""
        now = START_MICROSECONDS / 1e6 + self.now()
        return session is not None and (pages >= session or pages > now + MARGIN_SECONDS)

    def _kept(self, before: View, after: View, cause: Call | None) -> None:
        same = before.generation == after.generation and not after.community
        if same and after.stored and before.stored and after.version < before.version:
            raise Violation(f"{cause}: version {before.version} was followed by {after.version}")
        if after.tags is None or before.community != after.community:  # hidden, or converted
            return
        if cause and cause.op.kind == "expire" and _mark(before) != _mark(after):
            self._effect(before, cause)

    def _vanished(self, before: View, cause: Call | None) -> None:
        clock = cause.process.clock() if cause else float("inf")
        if before.expires is not None and before.expires * 1_000_000 <= clock:
            return  # whoever meets what has expired removes it
        if cause is None or cause.op.kind != "delete":
            raise Violation(f"{cause} removed the session")
        self._effect(before, cause)

    def _changed(self, before: View, after: View, cause: Call | None) -> None:
        if cause is None:
            raise Violation("the session changed by itself")
        ours = before.stored is not None and not (before.community or after.community)
        if ours and before.generation == after.generation and after.version <= before.version:
            raise Violation(f"{cause}: version {before.version} was followed by {after.version}")
        wanted: Callable[[Call, Tags, Tags], bool] | None = _EFFECTS.get(cause.op.kind)
        meta_kept = before.meta == after.meta or (cause.op.kind == "meta" and cause.name in after.meta)
        assert after.tags is not None
        if before.expires is not None and before.expires * 1_000_000 <= cause.began_at:
            before = ABSENT  # to this client, and so it must not go on from there
        if before.tags is None and _needs_session(cause):
            raise Violation(f"{cause} began a session")
        if wanted is None or not meta_kept or not wanted(cause, before.tags or (), after.tags):
            raise Violation(f"{cause} made {after.tags} {after.meta} of {before.tags} {before.meta}")
        self._effect(before, cause)

    def _effect(self, before: View, cause: Call) -> None:
        """This call takes place with this write."""
        now = len(self.states) - 1
        kind, _ = cause.outcome
        if kind == "error" and cause.op.kind != "delete" and not self._may_come_late(cause, cause.outcome[1]):
            raise Violation(f"{cause} told {cause.told}, and was applied after that")
        if cause.expected is not None and not self._guarded(cause, now):
            raise Violation(f"{cause} took place although the version was not {cause.expected}")
        cause.effects.append(now)
        if cause.op.kind != "append":
            return
        earlier = self.applied.setdefault(cause.logical, [])
        if earlier and not self._may_again(earlier[-1][1], before, cause, earlier[-1][0]):
            raise Violation(f"{cause} was applied again")
        earlier.append((cause, now))

    def _may_come_late(self, cause: Call, error: Exception) -> bool:
        """Whether docs/consistency.md allows an append to be applied after this error.

        A repeated key was told while the request was on its way, and the session that had it was deleted since.
        """
        if isinstance(error, IdempotencyError):
            return any(state.view.tags is None for state in self.states[cause.end : -1])
        return isinstance(error, OutcomeUnknownError)

    def _may_again(self, first: int, before: View, cause: Call, earlier: Call) -> bool:
        """Whether docs/consistency.md allows an append to be applied that was applied before.

        After the session was deleted, or was gone for another reason, and after langchain_community wrote its list over
        ours, ids and all; a repeated key also after two cuts or a rewrite.
        """
        since = self.states[first : len(self.states) - 1]
        causes = {state.cause.op.kind for state in since[1:] if state.cause}
        if "legacy" in causes or any(state.view.tags is None for state in since):
            return True
        if causes & {"replace", "truncate", "edit", "remove"}:  # an edit that has no room writes all anew
            return cause is not earlier
        return cause is not earlier and before.pages >= since[0].view.pages + 1

    def _guarded(self, cause: Call, now: int) -> bool:
        """Whether the content is that of the expected version."""
        content = self.states[now - 1].view.content
        for index in range(now - 1, -1, -1):
            view = self.states[index].view
            if cause.expected == 0:
                return self._unseen(view, cause)
            if view.content != content:
                return False
            if view.version == cause.expected and view.tags is not None:
                return True
        return False


def _mark(view: View) -> tuple[object, object]:
    """What a change of the expiry is known by: its stamp, or else the id that it leaves."""
    return view.expires, (view.stored or {}).get("lc_tail_ops" if view.community else "lc_change")


def _needs_session(call: Call) -> bool:
    """Whether it must not begin a session."""
    if call.op.kind == "append":
        return call.op.option("exist") is not None
    return call.op.kind in ("meta", "truncate", "repair", "reencrypt", "edit", "remove") and call.expected != 0


def _appends(call: Call, before: Tags, after: Tags) -> bool:
    """With `history_size`, pages that lie wholly before the newest so many messages may go."""
    whole = before + call.tags
    kept = call.op.number("hs")
    if kept is None or len(after) < min(kept, len(whole)):
        return after == whole
    return after == whole[len(whole) - len(after) :]


def _edits(call: Call, before: Tags, after: Tags, new: Tags) -> bool:
    """The message that it is about, by its id, is another, or no more; it may have been edited before."""
    at = last_with_id(before, call.target)
    return at is not None and after == (*before[:at], *new, *before[at + 1 :])


_EFFECTS: dict[str, Callable[[Call, Tags, Tags], bool]] = {
    "append": _appends,
    "replace": lambda call, before, after: after == call.tags,
    "truncate": lambda call, before, after: (
        after in (before[: int(call.op.about)], there(before[: int(call.op.about)]))
    ),
    "edit": lambda call, before, after: _edits(call, before, after, call.tags),
    "remove": lambda call, before, after: _edits(call, before, after, ()),
    "repair": lambda call, before, after: after == there(before),
    "meta": lambda call, before, after: after == before,
}
