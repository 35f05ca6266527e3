"""The first page, and the services behind it."""

from fastapi import APIRouter
from starlette.responses import Response

from console.domain.principals import Principal
from console.ports.overview import Overview
from console.ports.services import Probe, ServicesState
from console.web.context import CurrentView

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["state"])


@pages.get("/")
async def show_overview(view: CurrentView) -> Response:
    """Show whether all is well."""
    return view.page("overview.html", state=await view.context.overviews.read())


@pages.get("/services")
async def show_services(view: CurrentView) -> Response:
    """Show the services as processes."""
    state = await view.context.services.read()
    return view.page("services.html", state=state, probes=await view.context.probes.read())


@api.get("/overview")
async def read_overview(view: CurrentView) -> Overview:
    """Return whether all is well."""
    return await view.context.overviews.read()


@api.get("/services")
async def read_services(view: CurrentView) -> ServicesState:
    """Return the services as the database knows them."""
    return await view.context.services.read()


@api.get("/probes")
async def read_probes(view: CurrentView) -> list[Probe]:
    """Return what the services answer."""
    return list(await view.context.probes.read())


@api.get("/me")
async def read_me(view: CurrentView) -> Principal:
    """Return who asks."""
    return view.principal
