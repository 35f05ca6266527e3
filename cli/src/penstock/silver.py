"""What the console tells of silver records: which there are, and where their values come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory
from penstock.console_api import ConsoleApi, path_part


class UnknownRecordError(PermanentError):
    """There is no such entity, or no such record."""

    default_category = ErrorCategory.CONTENT_VALIDATION


@dataclass(frozen=True, slots=True)
class SilverEntity:
    """One kind of silver record."""

    entity_type: str
    table: str
    find_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value and where it comes from."""

    field: str
    value: Any
    rule: str
    source: str | None
    source_system: str | None
    external_id: str | None
    bronze_version: int | None
    losers: list[dict[str, Any]]
    as_of: datetime | None
    """When the source says that the winning record was changed, or else when bronze stored it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One bronze record behind an entity, on its way from the source."""

    source: str
    source_system: str
    external_id: str
    bronze_version: int
    operation: str
    event_id: str | None
    correlation_id: str | None
    blob_key: str | None
    linked_by: str | None
    """The identity rule that made it part of the entity; None where there was nothing to link."""

    source_modified_at: datetime | None
    stored_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything known about one silver record."""

    entity_type: str
    entity_id: str
    table: str
    status: str
    version: int
    score: str | None
    flags: list[str]
    updated_at: datetime | None
    values: list[Value]
    chain: list[Step]
    rejected_because: str | None


def find_entity(api: ConsoleApi, name: str) -> SilverEntity:
    """Return the entity whose type or table has the name.

    Raises:
        UnknownRecordError: there is none; names those there are.
    """
    kinds = api.get("/entities")
    for kind in kinds:
        if name in (kind["entity_type"], kind["table"]):
            return SilverEntity(kind["entity_type"], kind["table"], tuple(kind["find_by"]))
    known = ", ".join(kind["table"] for kind in kinds) or "none; start a transformer first"
    raise UnknownRecordError(f"`{name}` is no silver entity; known: {known}")


def find_record(api: ConsoleApi, entity: SilverEntity, key: str) -> str:
    """Return the id of the record that a key means: its id, a natural key, or a source's id.

    Raises:
        UnknownRecordError: none is meant, or several are.
    """
    rows = api.get(f"/entities/{path_part(entity.table)}", q=key)["items"] if key else []
    # An exact id wins over what is merely called so.
    found = [row["entity_id"] for row in rows if row["found_by"] == rows[0]["found_by"]]
    if not found:
        where = ", ".join(("id", "source's id", *entity.find_by))
        raise UnknownRecordError(f"nothing in silver.{entity.table} has {key!r} as {where}")
    if len(found) > 1:
        raise UnknownRecordError(f"{key!r} means several; name one: {', '.join(sorted(found))}")
    return str(found[0])


def explain(api: ConsoleApi, entity: SilverEntity, entity_id: str) -> Explanation:
    """Return where the values of a record come from.

    Raises:
        UnknownRecordError: silver has never seen it.
    """
    record = api.find(f"/entities/{path_part(entity.table)}/record", id=entity_id)
    if record is None:
        raise UnknownRecordError(f"silver has never seen {entity_id!r}")
    line = record["line"]
    facts: Mapping[str, Any] = {
        "entity_type": entity.entity_type,
        "entity_id": entity_id,
        "table": entity.table,
        "score": None if line["score"] is None else f"{line['score']:.2f}",
        "chain": record["lineage"],
        **{name: line[name] for name in ("status", "version", "flags", "updated_at")},
        **{name: record[name] for name in ("values", "rejected_because")},
    }
    return TypeAdapter(Explanation).validate_python(facts)


def read_samples(api: ConsoleApi, run_id: str) -> list[dict[str, Any]]:
    """Return the differences that a simulation has noted."""
    checkpoint = api.get(f"/runs/{path_part(run_id)}")["checkpoint"]
    return list((checkpoint or {}).get("samples") or [])
