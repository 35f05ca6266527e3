"""Data sets: the mirror of WRDS."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from console.domain.paging import Page
from console.ports.datasets import DatasetDetail, DatasetLine, Vintage, VintageFilter, Volume
from console.web.answers import Accepted
from console.web.context import CurrentView, View, existing
from contracts.commands import OverlapPolicy, WrdsSyncRequested
from contracts.topics import WRDS_SYNC_REQUESTED

ALL = "all"

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["datasets"])
Wanted = Annotated[VintageFilter, Query()]


class SyncOrder(BaseModel):
    """A sync, now."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["incremental", "full", "verify"] = "incremental"
    start_year: Annotated[int, Field(ge=1900, le=2200)] | None = None
    reason: str | None = Field(None, max_length=500)


@pages.get("/datasets")
async def show_datasets(view: CurrentView) -> Response:
    """Show the list."""
    datasets = view.context.datasets
    return view.page(
        "datasets.html", datasets=await datasets.list(), volumes=await datasets.volumes()
    )


@pages.get("/datasets/{dataset}")
async def show_dataset(view: CurrentView, dataset: str, wanted: Wanted) -> Response:
    """Show a data set."""
    found = await _find(view, dataset)
    vintages = await view.context.datasets.vintages(dataset, wanted)
    return view.page("dataset.html", found=found, line=found.line, vintages=vintages, wanted=wanted)


@pages.post("/datasets/{dataset}/sync")
async def sync(view: CurrentView, dataset: str) -> Response:
    """Have a data set compared with the archive, or all."""
    order: SyncOrder = view.read_form(SyncOrder)
    return await view.send(WRDS_SYNC_REQUESTED, await _command(view, dataset, order))


@api.get("/datasets")
async def list_datasets(view: CurrentView) -> list[DatasetLine]:
    """Return every data set of the configuration."""
    return list(await view.context.datasets.list())


@api.get("/datasets/{dataset}")
async def read_dataset(view: CurrentView, dataset: str) -> DatasetDetail:
    """Return a data set with its partitions, restatements and runs."""
    return await _find(view, dataset)


@api.get("/datasets/{dataset}/vintages")
async def list_vintages(view: CurrentView, dataset: str, wanted: Wanted) -> Page[Vintage]:
    """Return what was published, the newest first."""
    return await view.context.datasets.vintages(dataset, wanted)


@api.get("/volumes")
async def list_volumes(view: CurrentView) -> list[Volume]:
    """Return the disks of the mirror."""
    return list(await view.context.datasets.volumes())


@api.post("/datasets/{dataset}/sync", status_code=202)
async def request_sync(view: CurrentView, dataset: str, order: SyncOrder) -> Accepted:
    """Have a data set compared with the archive, or all."""
    return await view.accept(WRDS_SYNC_REQUESTED, await _command(view, dataset, order))


async def _command(view: View, dataset: str, order: SyncOrder) -> WrdsSyncRequested:
    if dataset != ALL:
        await _find(view, dataset)
    return WrdsSyncRequested(
        dataset=dataset,
        mode=order.mode,
        start_year=order.start_year,
        reason=order.reason,
        overlap=OverlapPolicy.QUEUE,
    )


async def _find(view: View, dataset: str) -> DatasetDetail:
    return existing(await view.context.datasets.find(dataset))
