"""The ASGI application: routes, errors, and what stands before them."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from chassis.errors import PermanentError, TransientError
from chassis.logs import get_logger
from console.errors import ForbiddenError, NotFoundError, RefusedError
from console.web import (
    audit,
    commands,
    datasets,
    dead_letters,
    drifts,
    entities,
    events,
    login,
    oidc,
    overview,
    runs,
    sources,
    static_files,
    tables,
    users,
)
from console.web.access import ACCESS, AccessTable
from console.web.answers import Answers
from console.web.context import Context
from console.web.guard import Guard
from console.web.headers import SecurityHeaders
from console.web.site import Site

ROUTERS = (
    static_files.router,
    login.router,
    oidc.router,
    events.router,
    overview.pages,
    overview.api,
    runs.pages,
    runs.api,
    commands.router,
    audit.pages,
    audit.api,
    users.pages,
    users.api,
    sources.pages,
    sources.api,
    tables.pages,
    tables.api,
    datasets.pages,
    datasets.api,
    entities.pages,
    entities.api,
    dead_letters.pages,
    dead_letters.api,
    drifts.pages,
    drifts.api,
)
"""Every page's routes; a new page adds its own here."""


def build_application(context: Context, site: Site, *, hides_failures: bool = True) -> ASGIApp:
    """Return the application, with everything that guards it.

    Args:
        context: What routes work with.
        site: Where it is found.
        hides_failures: Whether those who ask are told no more of a failure than that there was
            one. Otherwise it is raised through the application, to a caller in this process.
    """
    app = build_routes()
    app.state.context = context
    app.state.site = site
    answers = Answers(context.renderer)
    _answer_errors(app, answers)
    if hides_failures:
        _answer_failures(app, answers)
    guard = Guard(
        app, site=site, access=AccessTable(ACCESS), identify=context.identify, answers=answers
    )
    return SecurityHeaders(guard, is_secure=site.is_secure)


def build_routes() -> FastAPI:
    """Return the routes alone."""
    app = FastAPI(
        title="Penstock",
        version="1",
        description="Status, history and commands of the hub. Log on with an API token.",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    for router in ROUTERS:
        app.include_router(router)
    return app


def routes_of(app: FastAPI) -> set[str]:
    """Return every route as the table of access names it."""
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in (route.methods or ())
        if method != "HEAD"
    }


def _answer_errors(app: FastAPI, answers: Answers) -> None:
    async def not_found(request: Request, _: Exception) -> Response:
        return answers.error(request, HTTPStatus.NOT_FOUND, "There is no such thing.")

    async def refused(request: Request, error: Exception) -> Response:
        return answers.error(request, HTTPStatus.CONFLICT, str(error))

    async def forbidden(request: Request, error: Exception) -> Response:
        return answers.error(request, HTTPStatus.FORBIDDEN, str(error))

    async def invalid(request: Request, error: Exception) -> Response:
        return answers.error(request, HTTPStatus.UNPROCESSABLE_ENTITY, _explain(error))

    async def by_status(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return answers.error(request, HTTPStatus(status), HTTPStatus(status).description)

    app.add_exception_handler(NotFoundError, not_found)
    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(ForbiddenError, forbidden)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, by_status)


def _answer_failures(app: FastAPI, answers: Answers) -> None:
    async def unavailable(request: Request, error: Exception) -> Response:
        get_logger().warning("request_failed", path=request.url.path, error=error)
        return answers.unavailable(request)

    async def failed(request: Request, error: Exception) -> Response:
        get_logger().error("request_failed", path=request.url.path, error=error, exc_info=error)
        return answers.error(
            request, HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; the log has it."
        )

    app.add_exception_handler(TransientError, unavailable)
    app.add_exception_handler(PermanentError, failed)
    app.add_exception_handler(Exception, failed)


def _explain(error: Exception) -> str:
    if not isinstance(error, RequestValidationError):
        return "The request cannot be read."
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc'][1:])}: {item['msg']}"
        for item in error.errors()
    )
