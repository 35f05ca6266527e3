"""Answers that no route gives: what went wrong, as a page for people and as JSON for programs."""

from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from console.web.addresses import address_of
from console.web.renderer import Renderer

RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command was given; `/commands/{command_id}` tells what came of it."""

    command_id: str


class Answers:
    """Renders errors."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def error(self, request: Request, status: HTTPStatus, reason: str) -> Response:
        """Return an error in the form that the client reads."""
        if request.url.path.startswith("/api/"):
            # RFC 9457
            return JSONResponse(
                {"status": int(status), "title": status.phrase, "detail": reason},
                int(status),
                media_type="application/problem+json",
            )
        text = self._renderer.render(
            "error.html",
            {"status": status, "reason": reason},
            address=address_of(request),
            principal=request.scope.get("penstock.principal"),
            form_token=request.scope.get("penstock.form_token", ""),
        )
        return HTMLResponse(text, int(status))

    def unavailable(self, request: Request) -> Response:
        """Return that the database is away, and when to ask again."""
        answer = self.error(
            request,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The database does not answer at present. Nothing was changed; try again in a moment.",
        )
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
        return answer
