"""Which directories a fast pass may leave out.

A directory's time moves when an entry in it is added, removed or renamed; never when a file is
overwritten in place, and never for a change further down. So only directories without
subdirectories can be left out, and the full pass on its slower clock stays the truth.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from scanner.domain.files import Fingerprint


class ScanMode(StrEnum):
    """How a tree is read."""

    FAST = "fast"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class KnownDirectory:
    """What the last listing of a directory left behind."""

    modified_us: int | None
    """Its time as the parent showed it before that listing."""

    is_leaf: bool
    """It had no subdirectories."""

    is_settled: bool
    """Its time was old enough, and nothing in it was waiting to settle or to be believed gone."""


def may_skip(modified_us: int, known: KnownDirectory | None) -> bool:
    """Return whether a fast pass may take the directory's files as unchanged."""
    return (
        known is not None
        and known.is_leaf
        and known.is_settled
        and known.modified_us == modified_us
    )


def is_quiet(modified_us: int | None, *, listed_at: datetime, quiet: timedelta) -> bool:
    """Return whether a directory's time is old enough to be relied on.

    A second change within the same tick of the file system's clock (2 s on FAT) leaves the time as
    it is and would stay hidden for ever.
    """
    if modified_us is None:
        return False
    return listed_at - Fingerprint(modified_us, 0).modified_at >= quiet


def choose_mode(
    asked: str,
    *,
    now: datetime,
    last_full_at: datetime | None,
    full_interval: timedelta,
    has_fast_pass: bool,
) -> ScanMode:
    """Return what `auto` means now: full if it was never done or is due, else fast."""
    if asked in (ScanMode.FAST, ScanMode.FULL):
        return ScanMode(asked)
    is_due = last_full_at is None or now - last_full_at >= full_interval
    return ScanMode.FULL if is_due or not has_fast_pass else ScanMode.FAST


def nominal_slot(now: datetime, interval: timedelta) -> datetime:
    """Return the start of the interval that `now` lies in, the same for every replica."""
    seconds = interval.total_seconds()
    return datetime.fromtimestamp(now.timestamp() // seconds * seconds, tz=now.tzinfo)
