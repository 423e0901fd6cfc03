"""What can go wrong between a client and DynamoDB, and seeded plans of when it does. No I/O."""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple


class Fault(Enum):
    """What happens to one request."""

    NONE = "forwarded and answered"
    DELAYED = "forwarded after a while"
    REFUSED = "connections are refused for a moment"
    RESET = "connection reset, never forwarded"
    DROPPED = "forwarded, connection closed without an answer"
    LATE = "connection closed at once, forwarded when the client has given up"
    SLOW = "forwarded, answered after the client's timeout"
    CUT = "forwarded, the answer breaks off"
    CHECKSUM = "forwarded, answered with a wrong checksum"
    FAILED = "not forwarded, answered with status 500"
    FAILED_AFTER = "forwarded, answered with status 500"
    UNAVAILABLE = "not forwarded, answered with status 503"
    EXCEEDED = "throttled: ProvisionedThroughputExceededException"
    THROTTLING = "throttled: ThrottlingException"
    LIMIT = "throttled: RequestLimitExceeded"
    STALE = "eventually consistent read answered with earlier states"
    UNPROCESSED = "only a part of the batch forwarded, the rest left unprocessed"


THROTTLED = {
    Fault.EXCEEDED: "ProvisionedThroughputExceededException",
    Fault.THROTTLING: "ThrottlingException",
    Fault.LIMIT: "RequestLimitExceeded",
}
UNTOLD = {Fault.DROPPED, Fault.LATE, Fault.SLOW, Fault.CUT, Fault.CHECKSUM, Fault.FAILED_AFTER}  # applied, unheard
WITHHELD = {Fault.FAILED: 500, Fault.UNAVAILABLE: 503}  # answered with that status, never forwarded


class Request(NamedTuple):
    """One request as the proxy reads it: `operation` as in the API's reference, `body` its parameters."""

    client: str
    operation: str
    body: Mapping[str, Any]

    @property
    def is_batch(self) -> bool:
        """Whether a part of it may be left unprocessed."""
        return self.operation in ("BatchGetItem", "BatchWriteItem")

    @property
    def is_eventual(self) -> bool:
        """Whether an earlier state is a correct answer."""
        if self.operation == "BatchGetItem":
            return not any(part.get("ConsistentRead") for part in self.body["RequestItems"].values())
        return self.operation == "GetItem" and not self.body.get("ConsistentRead")


class Strike(NamedTuple):
    """A fault, and how much of it: a number from 0 to 1 that stands for seconds, bytes or items."""

    fault: Fault
    amount: float = 0.5


class Script:
    """A plan for direct tests: the given strikes in turn, then none."""

    def __init__(self, *strikes: Strike) -> None:
        self.strikes = list(strikes)

    def choose(self, request: Request) -> Strike:
        """Take the next one."""
        return self.strikes.pop(0) if self.strikes else Strike(Fault.NONE)


ANYTHING = {fault: 4 for fault in Fault if fault not in (Fault.NONE, Fault.STALE, Fault.UNPROCESSED)}
ANYTHING |= {Fault.REFUSED: 1, Fault.SLOW: 1}  # they hold up more than the one request
OF_BATCHES = {**ANYTHING, Fault.UNPROCESSED: 20, Fault.DELAYED: 20}


class Plan:
    """Lets a share `rate` of the requests fail; of eventually consistent reads the share `stale` sees the past.

    Of batches, which are fewer, twice as many fail.

    Each client's n-th request meets what the seed says, whatever the other clients do meanwhile.
    """

    def __init__(self, seed: int, rate: float = 0.2, stale: float = 0.4) -> None:
        self.seed = seed
        self.rate = rate
        self.stale = stale
        self._clients: dict[str, random.Random] = {}

    def choose(self, request: Request) -> Strike:
        """Decide on the client's next request."""
        chance = self._clients.setdefault(request.client, random.Random(f"{self.seed} {request.client}"))
        strikes, amount, kind = chance.random(), chance.random(), chance.random()
        if request.is_eventual and strikes < self.stale:
            return Strike(Fault.STALE, amount)
        if strikes > 1 - self.rate * (1 + request.is_batch):
            return Strike(_weighted(kind, OF_BATCHES if request.is_batch else ANYTHING), amount)
        return Strike(Fault.NONE, amount)


def _weighted(position: float, weights: Mapping[Fault, int]) -> Fault:
    """The fault at a position from 0 to 1 on a line where each has its weight."""
    left = position * sum(weights.values())
    for fault, weight in weights.items():
        if left < weight:
            return fault
        left -= weight
    return Fault.NONE
