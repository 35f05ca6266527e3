"""Who did what."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from console.domain.paging import Page
from console.ports.audit import AuditEntry, AuditFilter
from console.web.context import CurrentView

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["audit"])
Wanted = Annotated[AuditFilter, Query()]


@pages.get("/audit")
async def show_audit(view: CurrentView, wanted: Wanted) -> Response:
    """Show the trail."""
    audit = view.context.audit
    return view.page(
        "audit.html",
        entries=await audit.list(wanted),
        actions=await audit.actions(),
        wanted=wanted,
    )


@api.get("/audit")
async def list_audit(view: CurrentView, wanted: Wanted) -> Page[AuditEntry]:
    """Return entries, the newest first."""
    return await view.context.audit.list(wanted)
