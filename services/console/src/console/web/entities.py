"""Entities: silver records, explained down to the bytes they were read from."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from console.domain.paging import Page
from console.ports.entities import (
    BronzePlace,
    BronzeVersion,
    EntityKind,
    RecordDetail,
    RecordFilter,
    RecordLine,
    Version,
    VersionFilter,
)
from console.web.context import CurrentView, View, existing

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["entities"])
Wanted = Annotated[RecordFilter, Query()]
OfRecord = Annotated[VersionFilter, Query()]
Place = Annotated[BronzePlace, Query()]


@pages.get("/entities")
async def show_kinds(view: CurrentView) -> Response:
    """Show the kinds of records."""
    return view.page("entities.html", kinds=await view.context.entities.kinds())


@pages.get("/entities/{table}")
async def show_records(view: CurrentView, table: str, wanted: Wanted) -> Response:
    """Show records, or those that a search means; if that is one, go there."""
    kind = await _kind(view, table)
    records = await view.context.entities.list(kind, wanted)
    if wanted.q and len(records.items) == 1 and view.is_navigation:
        return view.go(f"/entities/{kind.table}/record", id=records.items[0].entity_id)
    return view.page("records.html", kind=kind, records=records, wanted=wanted)


@pages.get("/entities/{table}/record")
async def show_record(view: CurrentView, table: str, wanted: OfRecord) -> Response:
    """Show a record."""
    kind = await _kind(view, table)
    record = await _record(view, kind, wanted.id)
    history = await view.context.entities.history(kind, wanted)
    return view.page(
        "record.html", kind=kind, record=record, line=record.line, history=history, wanted=wanted
    )


@pages.get("/entities/{table}/bronze")
async def show_bronze(view: CurrentView, table: str, place: Place) -> Response:
    """Show what a source told, as it was stored; every look is audited."""
    kind = await _kind(view, table)
    return view.page("bronze.html", kind=kind, found=await _bronze(view, kind, place))


@api.get("/entities")
async def list_kinds(view: CurrentView) -> list[EntityKind]:
    """Return the kinds of records."""
    return list(await view.context.entities.kinds())


@api.get("/entities/{table}")
async def list_records(view: CurrentView, table: str, wanted: Wanted) -> Page[RecordLine]:
    """Return records by id, or those that a search means."""
    return await view.context.entities.list(await _kind(view, table), wanted)


@api.get("/entities/{table}/record")
async def read_record(view: CurrentView, table: str, wanted: OfRecord) -> RecordDetail:
    """Return a record, where its values come from, and how good it was over time."""
    return await _record(view, await _kind(view, table), wanted.id)


@api.get("/entities/{table}/history")
async def read_history(view: CurrentView, table: str, wanted: OfRecord) -> Page[Version]:
    """Return the states of a record, the newest first."""
    return await view.context.entities.history(await _kind(view, table), wanted)


@api.get("/entities/{table}/bronze")
async def read_bronze(view: CurrentView, table: str, place: Place) -> BronzeVersion:
    """Return what a source told, as it was stored; every look is audited."""
    return await _bronze(view, await _kind(view, table), place)


async def _kind(view: View, table: str) -> EntityKind:
    return existing(await view.context.entities.kind(table))


async def _record(view: View, kind: EntityKind, entity_id: str) -> RecordDetail:
    return existing(await view.context.entities.find(kind, entity_id))


async def _bronze(view: View, kind: EntityKind, place: BronzePlace) -> BronzeVersion:
    found = existing(await view.context.entities.bronze(kind, place))
    await view.context.audit.record(
        view.principal.name,
        "bronze.viewed",
        subject=f"{kind.entity_type} {place.source_system}/{place.external_id}"[:500],
        details={"version": place.version},
    )
    return found
