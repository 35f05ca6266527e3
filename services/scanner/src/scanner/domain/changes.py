"""Added, modified, or still being written: what one look at a file means.

A state is announced once it was seen twice, unchanged, some seconds apart by our own clock: the
share's times jump while a writer is at work, and a copied file carries an old one (notes: delayed
write time, preserved times).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from scanner.domain.files import Fingerprint, SeenFile


class Change(StrEnum):
    """What is announced about a file; the values of the contract."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Known:
    """What the inventory says about a path."""

    path: str
    observed: Fingerprint
    """The state that was listed last."""

    settling_since: datetime | None
    """When that state was first seen; None once it is announced."""

    announced: Fingerprint | None
    """The state that consumers were told; None if they do not know the file."""

    is_present: bool
    """False after its deletion was announced."""

    is_missed: bool
    """A recent listing lacked it."""


@dataclass(frozen=True, slots=True)
class Observe:
    """Write down what was seen; nothing is announced."""

    file: SeenFile
    settling_since: datetime | None


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell consumers, with both fingerprints in one event (C-03)."""

    path: str
    change: Change
    current: Fingerprint | None
    previous: Fingerprint | None


@dataclass(frozen=True, slots=True)
class Miss:
    """Note that a believed listing lacks the file; whether it is deleted is judged later."""

    path: str


Decision = Observe | Announce | Miss


def decide(
    seen: SeenFile | None, known: Known | None, *, now: datetime, settle: timedelta
) -> Decision | None:
    """Compare one file of a listed directory with the inventory; None means nothing to do."""
    if seen is None:
        return Miss(known.path) if known is not None and known.is_present else None
    if known is None or not known.is_present:
        return Observe(seen, settling_since=now)
    if seen.fingerprint == known.announced:
        # Back to, or still, the announced state: whatever was settling never came to rest.
        is_news = (
            known.is_missed
            or known.settling_since is not None
            or seen.fingerprint != known.observed
        )
        return Observe(seen, settling_since=None) if is_news else None
    if seen.fingerprint != known.observed or known.settling_since is None:
        return Observe(seen, settling_since=now)
    return _settle(seen, known, known.settling_since, now=now, settle=settle)


def _settle(
    seen: SeenFile, known: Known, since: datetime, *, now: datetime, settle: timedelta
) -> Decision | None:
    if now - since >= settle:
        return Announce(
            path=seen.path,
            change=Change.ADDED if known.announced is None else Change.MODIFIED,
            current=seen.fingerprint,
            previous=known.announced,
        )
    if now < since:
        # The clock was set back: without this the file would wait for it to catch up.
        return Observe(seen, settling_since=now)
    return Observe(seen, settling_since=since) if known.is_missed else None
