"""Records as a source tells them: what passes between a source's adapter and the poll."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import ErrorCategory

RawRecord = Mapping[str, Any]
"""One record, as the source told it: an object of values that JSON has a form for."""


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """One record that the source has and could not give."""

    external_id: str | None
    """None where not even its identity is known: then nothing may be concluded deleted."""

    category: ErrorCategory
    error_class: str
    message: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A bounded part of a poll: some hundreds or thousands of records."""

    records: tuple[RawRecord, ...]
    failures: tuple[ItemFailure, ...] = ()

    high_water: str | None = None
    """How far the source has told everything, in its own words; the last one of a poll stands.

    A text that sorts nowhere but in `CursorKind`'s own terms: RFC 3339 in UTC, or a whole number.
    """

    total: int | None = None
    """How many records the source announces; None where it does not say."""

    gap: str | None = None
    """Why records are missing from this page that cannot be named.

    The poll goes on, and concludes no deletion.
    """


@dataclass(frozen=True, slots=True)
class Full:
    """Everything that the source has."""


@dataclass(frozen=True, slots=True)
class Since:
    """What changed at or after a cursor; the overlap is subtracted already."""

    cursor: str


@dataclass(frozen=True, slots=True)
class ById:
    """These records, as far as they exist; a source that lacks one leaves it out."""

    external_ids: tuple[str, ...]


PollRequest = Full | Since | ById


@dataclass(frozen=True, slots=True)
class Abilities:
    """Which requests a source can answer, beside `Full`."""

    since: bool = False
    by_id: bool = False


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What a check shows of a source: no address and no secret."""

    kind: str
    """`http`, `ldap`, `sql` or `file-list`."""

    text: str
    """What was negotiated, in a few words."""
