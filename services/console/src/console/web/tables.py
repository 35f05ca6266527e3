"""Tables: how production and UAT compare, refreshes, plans to approve, masked rows."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from console.errors import NotFoundError, RefusedError
from console.ports.tables import (
    PlanDetail,
    PlanLine,
    PreviewState,
    RefreshFilter,
    RefreshLine,
    SeenDatabase,
    Side,
    TableDetail,
    TableLine,
)
from console.web.answers import Accepted
from console.web.context import CurrentView, View, existing
from contracts.commands import (
    OverlapPolicy,
    RefreshApproveRequested,
    RefreshPreviewRequested,
    RefreshRequested,
    RefreshUndoRequested,
)
from contracts.topics import (
    REFRESH_APPROVE_REQUESTED,
    REFRESH_PREVIEW_REQUESTED,
    REFRESH_REQUESTED,
    REFRESH_UNDO_REQUESTED,
)

ALL = "all"
PLAN_TABLES = 100
"""Of a plan, shown on its page."""

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["tables"])


class RefreshOrder(BaseModel):
    """A refresh, now."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["configured", "incremental", "smart_sync", "full_replace"] = "configured"
    dry_run: bool = False
    reason: str = Field(min_length=3, max_length=500)
    confirm: str = Field("", max_length=200)
    """The table's name, typed by whoever replaces all of its rows."""


class PlanOrder(BaseModel):
    """A decision about a plan."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=3, max_length=500)


class PreviewOrder(BaseModel):
    """A look at rows."""

    model_config = ConfigDict(extra="forbid")

    side: Side
    reason: str = Field(min_length=3, max_length=500)


@pages.get("/tables")
async def show_tables(view: CurrentView) -> Response:
    """Show the list."""
    tables = view.context.tables
    return view.page("tables.html", tables=await tables.list(), waiting=await tables.waiting())


@pages.get("/tables/{key}")
async def show_table(view: CurrentView, key: str) -> Response:
    """Show a table."""
    table = await _find(view, key)
    return view.page("table.html", table=table, line=table.line)


@pages.post("/tables/{key}/refresh")
async def refresh(view: CurrentView, key: str) -> Response:
    """Have a table refreshed, or all."""
    order: RefreshOrder = view.read_form(RefreshOrder)
    return await view.send(REFRESH_REQUESTED, await _refresh_command(view, key, order))


@pages.post("/tables/{key}/count")
async def count(view: CurrentView, key: str) -> Response:
    """Have a table compared in both databases, or all."""
    return await view.send(REFRESH_PREVIEW_REQUESTED, await _count_command(view, key))


@pages.post("/tables/{key}/preview")
async def preview(view: CurrentView, key: str) -> Response:
    """Have a few rows fetched."""
    order: PreviewOrder = view.read_form(PreviewOrder)
    command_id = await _send_preview(view, key, order)
    return view.go(f"/tables/{key}/previews/{command_id}")


@pages.get("/tables/{key}/previews/{command_id}")
async def show_preview(view: CurrentView, key: str, command_id: str) -> Response:
    """Show rows that were fetched; every look is audited."""
    return view.page(
        "preview.html",
        key=key,
        command_id=command_id,
        state=await _read_preview(view, key, command_id),
    )


@pages.get("/tables/{key}/plans/{plan_id}")
async def show_plan(view: CurrentView, key: str, plan_id: str) -> Response:
    """Show a plan: what it would do, or did."""
    plan = await _plan(view, key, plan_id)
    return view.page(
        "plan.html",
        line=plan.line,
        plan=plan.plan,
        components=plan.plan.get("components", []),
        tables=_tables_of(plan.plan)[:PLAN_TABLES],
        more=max(0, len(_tables_of(plan.plan)) - PLAN_TABLES),
    )


@pages.post("/tables/{key}/plans/{plan_id}/approve")
async def approve(view: CurrentView, key: str, plan_id: str) -> Response:
    """Have a plan applied that waits."""
    order: PlanOrder = view.read_form(PlanOrder)
    command = approve_command(await _plan(view, key, plan_id), order)
    return await view.send(REFRESH_APPROVE_REQUESTED, command)


@pages.post("/tables/{key}/plans/{plan_id}/undo")
async def undo(view: CurrentView, key: str, plan_id: str) -> Response:
    """Have the rows put back that a refresh has replaced."""
    order: PlanOrder = view.read_form(PlanOrder)
    command = undo_command(await _plan(view, key, plan_id), order)
    return await view.send(REFRESH_UNDO_REQUESTED, command)


@api.get("/tables")
async def list_tables(view: CurrentView) -> list[TableLine]:
    """Return every table of the configuration."""
    return list(await view.context.tables.list())


@api.get("/tables/{key}")
async def read_table(view: CurrentView, key: str) -> TableDetail:
    """Return a table with its refreshes, runs and plans."""
    return await _find(view, key)


@api.get("/tables/{key}/plans/{plan_id}")
async def read_plan(view: CurrentView, key: str, plan_id: str) -> PlanDetail:
    """Return a plan with every statement."""
    return await _plan(view, key, plan_id)


@api.get("/plans")
async def list_waiting(view: CurrentView) -> list[PlanLine]:
    """Return the plans that wait for approval, the newest first."""
    return list(await view.context.tables.waiting())


@api.get("/plans/{plan_id}")
async def read_any_plan(view: CurrentView, plan_id: str) -> PlanDetail:
    """Return a plan by its id, or by the id of the run that made it."""
    return existing(await view.context.tables.plan(plan_id))


@api.get("/refreshes")
async def list_refreshes(
    view: CurrentView, wanted: Annotated[RefreshFilter, Query()]
) -> list[RefreshLine]:
    """Return refreshes, the newest first."""
    return list(await view.context.tables.refreshes(wanted))


@api.get("/refreshes/latest")
async def list_latest(view: CurrentView) -> list[RefreshLine]:
    """Return the last refresh of every table that ever had one."""
    return list(await view.context.tables.latest())


@api.get("/refreshes/databases")
async def list_databases(view: CurrentView) -> list[SeenDatabase]:
    """Return the databases that refreshes have read and written."""
    return list(await view.context.tables.databases())


@api.get("/tables/{key}/previews/{command_id}")
async def read_preview(view: CurrentView, key: str, command_id: str) -> PreviewState:
    """Return rows that were fetched; every look is audited."""
    return await _read_preview(view, key, command_id)


@api.post("/tables/{key}/refresh", status_code=202)
async def request_refresh(view: CurrentView, key: str, order: RefreshOrder) -> Accepted:
    """Have a table refreshed, or all."""
    return await view.accept(REFRESH_REQUESTED, await _refresh_command(view, key, order))


@api.post("/tables/{key}/count", status_code=202)
async def request_count(view: CurrentView, key: str) -> Accepted:
    """Have a table compared in both databases, or all."""
    return await view.accept(REFRESH_PREVIEW_REQUESTED, await _count_command(view, key))


@api.post("/tables/{key}/preview", status_code=202)
async def request_preview(view: CurrentView, key: str, order: PreviewOrder) -> Accepted:
    """Have a few rows fetched; `previews/{command_id}` has them for some minutes."""
    return Accepted(await _send_preview(view, key, order))


@api.post("/tables/{key}/plans/{plan_id}/approve", status_code=202)
async def request_approve(view: CurrentView, key: str, plan_id: str, order: PlanOrder) -> Accepted:
    """Have a plan applied that waits."""
    command = approve_command(await _plan(view, key, plan_id), order)
    return await view.accept(REFRESH_APPROVE_REQUESTED, command)


@api.post("/tables/{key}/plans/{plan_id}/undo", status_code=202)
async def request_undo(view: CurrentView, key: str, plan_id: str, order: PlanOrder) -> Accepted:
    """Have the rows put back that a refresh has replaced."""
    command = undo_command(await _plan(view, key, plan_id), order)
    return await view.accept(REFRESH_UNDO_REQUESTED, command)


def approve_command(plan: PlanDetail, order: PlanOrder) -> RefreshApproveRequested:
    """Return the command.

    Raises:
        RefusedError: the plan does not wait (any more).
    """
    line = plan.line
    if line.status != "waiting":
        raise RefusedError(f"The plan is {line.status}; only one that waits is approved.")
    return RefreshApproveRequested(plan=line.plan_id, table=line.target, reason=order.reason)


def undo_command(plan: PlanDetail, order: PlanOrder) -> RefreshUndoRequested:
    """Return the command.

    Raises:
        RefusedError: the rows that were replaced are not kept.
    """
    line = plan.line
    if line.undo_until is None:
        raise RefusedError("The rows that were replaced are not kept (any longer).")
    return RefreshUndoRequested(plan=line.plan_id, table=line.target, reason=order.reason)


async def _refresh_command(view: View, key: str, order: RefreshOrder) -> RefreshRequested:
    await _check_key(view, key)
    if order.mode == "full_replace" and not order.dry_run and order.confirm != key:
        raise RefusedError(
            f"A full refresh replaces every row: type {key!r} to confirm that you mean it."
        )
    return RefreshRequested(
        table=key,
        mode=order.mode,
        dry_run=order.dry_run,
        reason=order.reason,
        overlap=OverlapPolicy.QUEUE,
    )


async def _count_command(view: View, key: str) -> RefreshPreviewRequested:
    await _check_key(view, key)
    return RefreshPreviewRequested(table=key, reason="count again")


async def _send_preview(view: View, key: str, order: PreviewOrder) -> str:
    await _find(view, key)
    command = RefreshPreviewRequested(
        table=key, side=order.side, reason=order.reason, overlap=OverlapPolicy.QUEUE
    )
    return await view.context.commands.send(
        REFRESH_PREVIEW_REQUESTED,
        command,
        actor=view.principal.name,
        details={"side": order.side},
    )


async def _read_preview(view: View, key: str, command_id: str) -> PreviewState:
    state = existing(await view.context.tables.preview(key, command_id))
    if state.rows is not None:
        await view.context.audit.record(
            view.principal.name,
            "preview.viewed",
            subject=key,
            details={"side": state.side, "rows": len(state.rows), "command_id": command_id},
        )
    return state


async def _check_key(view: View, key: str) -> None:
    if key != ALL:
        await _find(view, key)


async def _find(view: View, key: str) -> TableDetail:
    return existing(await view.context.tables.find(key))


async def _plan(view: View, key: str, plan_id: str) -> PlanDetail:
    plan = await view.context.tables.plan(plan_id)
    if plan is None or plan.line.target not in (key, ALL):
        raise NotFoundError
    return plan


def _tables_of(plan: Any) -> list[Any]:
    return [table for part in plan.get("components", []) for table in part["tables"]]
