"""Looks up the inbox of schema changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from chassis.errors import PermanentError
from contracts.drifts import FieldChange, change_of
from penstock.console_api import ConsoleApi, NotAllowedError, is_id


class DriftError(PermanentError):
    """There is no such schema drift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftEntry:
    """One entry of the inbox."""

    id: str
    service: str
    dataset: str
    kind: str
    status: str
    detected_at: datetime
    changes: tuple[FieldChange, ...]
    sample: dict[str, Any] | None
    """The record that showed it; where one entry is asked for, by who may see values."""

    affected: tuple[str, ...]
    held: int
    """Dead letters that wait for the decision."""

    run_id: str | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry for programs."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"changes": [change.as_json() for change in self.changes]}


def list_drifts(
    api: ConsoleApi, *, status: str | None, service: str | None, limit: int
) -> list[DriftEntry]:
    """Return the newest entries, without their samples."""
    lines = api.pages("/drifts", status=status, service=service, limit=limit)
    return [_entry(line) for line in lines]


def find_drift(api: ConsoleApi, name: str, *, with_sample: bool = False) -> DriftEntry:
    """Return the entry that an id, or the beginning of one, means.

    Raises:
        DriftError: it means none, or several.
    """
    found = api.pages("/drifts", id=name.lower(), limit=2) if is_id(name) else []
    if len(found) != 1:
        several = "several schema drifts begin" if found else "no schema drift begins"
        raise DriftError(f"{several} with {name!r}")
    (line,) = found
    if not with_sample:
        return _entry(line)
    try:
        told = api.get(f"/drifts/{line['id']}/sample")["sample"]
    except NotAllowedError:
        told = None  # values are for operators, the rest is for everybody
    return _entry(line, told)


def _entry(line: Mapping[str, Any], sample: dict[str, Any] | None = None) -> DriftEntry:
    facts = {name: line.get(name) for name in DriftEntry.__slots__}
    changes = tuple(change_of(change) for change in line["changes"])
    return _ENTRY.validate_python(
        facts | {"changes": changes, "sample": sample, "held": line["held_letters"]}
    )


_ENTRY = TypeAdapter(DriftEntry)
