"""Times: microseconds since the epoch, expiries in seconds."""

from __future__ import annotations

FIVE_YEARS = 5 * 365 * 24 * 3600  # seconds


def is_expired(expires: int | None, now: int) -> bool:
    """Whether a TTL stamp (seconds) lies in the past of `now` (microseconds): such an item is as good as deleted.

    But for one of more than five years ago, as DynamoDB has it: that is more likely to be no time of an expiry.
    """
    return expires is not None and now // 1_000_000 - FIVE_YEARS <= expires <= now // 1_000_000


def next_expiry(expires: int | None, now: int) -> int | None:
    """The TTL stamp of a session that readers see, where it will ever take effect."""
    return None if expires is None or expires <= now // 1_000_000 else expires


MICROSECONDS = 1_000_000
