"""Runs: the list, one run, and the same as JSON."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from console.domain.paging import Page
from console.errors import NotFoundError
from console.ports.runs import RunDetail, RunFilter, RunLine
from console.web.context import CurrentView, View, as_id

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["runs"])
Wanted = Annotated[RunFilter, Query()]


@pages.get("/runs")
async def show_runs(view: CurrentView, wanted: Wanted) -> Response:
    """Show the list."""
    runs = view.context.runs
    return view.page(
        "runs.html",
        runs=await runs.list(wanted),
        wanted=wanted,
        choices=await runs.choices(),
    )


@pages.get("/runs/{run_id}")
async def show_run(view: CurrentView, run_id: str) -> Response:
    """Show a run."""
    run = await _find(view, run_id)
    return view.page("run.html", run=run, line=run.line)


@api.get("/runs")
async def list_runs(view: CurrentView, wanted: Wanted) -> Page[RunLine]:
    """Return runs, the newest first."""
    return await view.context.runs.list(wanted)


@api.get("/runs/{run_id}")
async def read_run(view: CurrentView, run_id: str) -> RunDetail:
    """Return everything about a run."""
    return await _find(view, run_id)


async def _find(view: View, run_id: str) -> RunDetail:
    run = await view.context.runs.find(as_id(run_id))
    if run is None:
        raise NotFoundError
    return run


router = APIRouter()
router.include_router(pages)
router.include_router(api)
