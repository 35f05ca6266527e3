"""What `penstock sources` tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory
from penstock.console_api import ConsoleApi, path_part

_SHOWN_SCANS = 10
_SHOWN_ERRORS = 20


class UnknownSourceError(PermanentError):
    """There is no such source, or it was never looked at."""

    default_category = ErrorCategory.CONTENT_VALIDATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a source."""

    mode: str
    outcome: str | None
    """None while it goes on."""

    started_at: datetime
    finished_at: datetime | None
    seen: int
    added: int
    modified: int
    deleted: int
    held: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source and the last look at it."""

    name: str
    kind: str
    run_status: str | None
    """Of the newest run."""

    held: int
    """Deletions that wait for a person."""

    last: Look | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceError:
    """A record of a source that could not be read."""

    at: datetime
    category: str
    message: str
    external_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDetail:
    """A source with its last looks and errors."""

    source: Source
    looks: Sequence[Look]
    errors: Sequence[SourceError]


def ask_sources(api: ConsoleApi) -> list[Source]:
    """Return every source as the console tells it."""
    return [_told(item) for item in api.get("/sources")]


def ask_source(api: ConsoleApi, name: str) -> SourceDetail:
    """Return a source as the console tells it.

    Raises:
        UnknownSourceError: it knows none of that name.
    """
    _require(name, [source.name for source in ask_sources(api)])
    found = api.get(f"/sources/{path_part(name)}")
    return SourceDetail(
        source=_told(found["line"]),
        looks=[_look(item) for item in found["scans"][:_SHOWN_SCANS]],
        errors=[_error(item) for item in found["errors"][:_SHOWN_ERRORS]],
    )


def _told(item: Mapping[str, Any]) -> Source:
    return Source(
        name=item["name"],
        kind=item["kind"],
        run_status=item["run"]["status"] if item["run"] else None,
        held=item["held"],
        last=_look(item["last"]) if item["last"] else None,
    )


def _look(item: Mapping[str, Any]) -> Look:
    return TypeAdapter(Look).validate_python(item)


def _error(item: Mapping[str, Any]) -> SourceError:
    return TypeAdapter(SourceError).validate_python(item)


def _require(name: str, known: Sequence[str]) -> None:
    if name not in known:
        there = ", ".join(known) or "none was looked at yet"
        raise UnknownSourceError(f"there is no source `{name}`; there are: {there}")
