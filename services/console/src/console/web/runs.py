"""Runs: the list, one run, the commands that lead to one; and the same as JSON."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from console.domain.needed_roles import needed_role
from console.domain.paging import Page
from console.errors import RefusedError
from console.handlers.act import cancel_run, repeat_run
from console.ports.run_log import EndedRun, LogFilter
from console.ports.runs import RunDetail, RunFilter, RunLine, SentCommand
from console.web.answers import Accepted
from console.web.context import CurrentView, View, as_id, existing

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


@pages.post("/runs/{run_id}/cancel")
async def cancel(view: CurrentView, run_id: str) -> Response:
    """Have a run stopped at its next safe point."""
    await cancel_run(await _find(view, run_id), view.context.commands, actor=view.principal.name)
    return view.go(f"/runs/{run_id}", asked="cancel")


@pages.post("/runs/{run_id}/retry")
async def retry(view: CurrentView, run_id: str) -> Response:
    """Give the command of a run again."""
    command_id = await _repeat(view, run_id)
    return view.go(f"/commands/{command_id}")


@pages.get("/commands/{command_id}")
async def show_command(view: CurrentView, command_id: str) -> Response:
    """Follow a command to its run; once there is one, that is the page to look at."""
    sent = await _sent(view, command_id)
    if sent.run is not None and view.is_navigation:
        return view.go(f"/runs/{sent.run.run_id}")
    return view.page("command.html", sent=sent)


@api.get("/runs")
async def list_runs(view: CurrentView, wanted: Wanted) -> Page[RunLine]:
    """Return runs, the newest first."""
    return await view.context.runs.list(wanted)


@api.get("/run-log")
async def list_ended(view: CurrentView, wanted: Annotated[LogFilter, Query()]) -> list[EndedRun]:
    """Return runs that have ended: the last, the latest of every task, or those that failed."""
    return list(await view.context.run_log.list(wanted))


@api.get("/runs/{run_id}")
async def read_run(view: CurrentView, run_id: str) -> RunDetail:
    """Return everything about a run."""
    return await _find(view, run_id)


@api.post("/runs/{run_id}/cancel", status_code=202)
async def request_cancel(view: CurrentView, run_id: str) -> Accepted:
    """Have a run stopped at its next safe point."""
    run = await _find(view, run_id)
    return Accepted(await cancel_run(run, view.context.commands, actor=view.principal.name))


@api.post("/runs/{run_id}/retry", status_code=202)
async def request_retry(view: CurrentView, run_id: str) -> Accepted:
    """Give the command of a run again."""
    return Accepted(await _repeat(view, run_id))


@api.get("/commands/{command_id}")
async def read_command(view: CurrentView, command_id: str) -> SentCommand:
    """Return what came of a command that was given here."""
    return await _sent(view, command_id)


async def _find(view: View, run_id: str) -> RunDetail:
    return existing(await view.context.runs.find(as_id(run_id)))


async def _sent(view: View, command_id: str) -> SentCommand:
    return existing(await view.context.runs.command(command_id))


async def _repeat(view: View, run_id: str) -> str:
    run = await _find(view, run_id)
    given = await view.context.runs.command_body(run.line.run_id)
    if given is None:
        raise RefusedError("No command led to this run; its schedule starts the next one.")
    topic, body = given
    role = needed_role(topic, body)
    if not view.principal.may(role):
        raise RefusedError(f"Giving this command again needs the role {role}.")
    return await repeat_run(
        run, topic, body=body, commands=view.context.commands, actor=view.principal.name
    )
