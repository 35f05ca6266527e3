"""Sources: what was looked at when, looking now, and deletions that wait for a person."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from console.domain.paging import Page
from console.ports.sources import HeldDeletion, HeldFilter, SourceDetail, SourceLine
from console.web.answers import Accepted
from console.web.context import CurrentView, View, existing
from contracts.commands import OverlapPolicy, ScanRequested
from contracts.topics import SCAN_REQUESTED
from contracts.types import FilePath

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["sources"])
Held = Annotated[HeldFilter, Query()]


class ScanOrder(BaseModel):
    """A look at a source, now."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["auto", "fast", "full"] = "auto"
    prefix: FilePath | None = None
    """Only this folder and what is below."""

    dry_run: bool = False
    reason: str | None = Field(None, max_length=500)


class ReleaseOrder(BaseModel):
    """The deletions that wait are published."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=3, max_length=500)


@pages.get("/sources")
async def show_sources(view: CurrentView) -> Response:
    """Show the list."""
    return view.page("sources.html", sources=await view.context.sources.list())


@pages.get("/sources/{name}")
async def show_source(view: CurrentView, name: str, wanted: Held) -> Response:
    """Show a source."""
    source = await _find(view, name)
    sources = view.context.sources
    return view.page(
        "source.html",
        source=source,
        line=source.line,
        held=await sources.held(name, wanted),
        reasons=await sources.held_reasons(name),
        wanted=wanted,
    )


@pages.post("/sources/{name}/scan")
async def scan(view: CurrentView, name: str) -> Response:
    """Have a source looked at."""
    await _find(view, name)
    order: ScanOrder = view.read_form(ScanOrder)
    return await view.send(SCAN_REQUESTED, scan_command(name, order))


@pages.post("/sources/{name}/release")
async def release(view: CurrentView, name: str) -> Response:
    """Have the deletions published that wait."""
    await _find(view, name)
    order: ReleaseOrder = view.read_form(ReleaseOrder)
    return await view.send(SCAN_REQUESTED, release_command(name, order))


@api.get("/sources")
async def list_sources(view: CurrentView) -> list[SourceLine]:
    """Return every source that was ever looked at."""
    return list(await view.context.sources.list())


@api.get("/sources/{name}")
async def read_source(view: CurrentView, name: str) -> SourceDetail:
    """Return a source with its last scans, runs and errors."""
    return await _find(view, name)


@api.get("/sources/{name}/held")
async def list_held(view: CurrentView, name: str, wanted: Held) -> Page[HeldDeletion]:
    """Return deletions that wait for a person, by path."""
    return await view.context.sources.held(name, wanted)


@api.post("/sources/{name}/scan", status_code=202)
async def request_scan(view: CurrentView, name: str, order: ScanOrder) -> Accepted:
    """Have a source looked at."""
    await _find(view, name)
    return await view.accept(SCAN_REQUESTED, scan_command(name, order))


@api.post("/sources/{name}/release", status_code=202)
async def request_release(view: CurrentView, name: str, order: ReleaseOrder) -> Accepted:
    """Have the deletions published that wait."""
    await _find(view, name)
    return await view.accept(SCAN_REQUESTED, release_command(name, order))


def scan_command(name: str, order: ScanOrder) -> ScanRequested:
    """Return the command; a scan in progress is not disturbed."""
    return ScanRequested(
        source=name,
        mode=order.mode,
        prefix=order.prefix,
        dry_run=order.dry_run,
        reason=order.reason,
        overlap=OverlapPolicy.QUEUE,
    )


def release_command(name: str, order: ReleaseOrder) -> ScanRequested:
    """Return the command; the scan before it says what is gone."""
    return ScanRequested(
        source=name,
        mode="full",
        release_held_deletions=True,
        reason=order.reason,
        overlap=OverlapPolicy.QUEUE,
    )


async def _find(view: View, name: str) -> SourceDetail:
    return existing(await view.context.sources.find(name))
