"""What routes work with: built once by the composition root, and the view of one request."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from console.domain.principals import Principal
from console.errors import NotFoundError, RefusedError
from console.handlers.administer import Administer
from console.handlers.feed import Feed
from console.handlers.identify import Identify
from console.handlers.login import Login
from console.handlers.oidc_login import OidcLogin
from console.ports.audit import Audit
from console.ports.commands import Commands
from console.ports.datasets import Datasets
from console.ports.dead_letters import DeadLetters
from console.ports.drifts import Drifts
from console.ports.entities import Entities
from console.ports.identity import Tokens, Users
from console.ports.overview import Overviews
from console.ports.run_log import RunLog
from console.ports.runs import Runs
from console.ports.services import Probes, Services
from console.ports.sources import Sources
from console.ports.tables import Tables
from console.web.addresses import address_of
from console.web.answers import Accepted
from console.web.assets import Asset
from console.web.renderer import Renderer
from console.web.site import Site
from contracts.commands import Command
from contracts.topics import Topic

T = TypeVar("T")

_VISIT_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Ports and use cases, one field each; a new page adds its port here."""

    renderer: Renderer
    assets: Mapping[str, Asset]
    identify: Identify
    users: Users
    tokens: Tokens
    audit: Audit
    commands: Commands
    runs: Runs
    run_log: RunLog
    sources: Sources
    tables: Tables
    datasets: Datasets
    entities: Entities
    dead_letters: DeadLetters
    drifts: Drifts
    feed: Feed
    overviews: Overviews
    services: Services
    probes: Probes
    login: Login
    administer: Administer
    oidc: OidcLogin | None


class View:
    """One request: who asks, what was sent, and how to answer."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.context: Context = request.app.state.context
        self.site: Site = request.app.state.site

    @property
    def principal(self) -> Principal:
        """Who asks; the guard has made sure that there is somebody."""
        principal: Principal = self.request.scope["penstock.principal"]
        return principal

    @property
    def cookie(self) -> str:
        """The cookie of the session; empty for a token's requests."""
        cookie: str = self.request.scope.get("penstock.cookie") or ""
        return cookie

    @property
    def visit(self) -> str:
        """The cookie of a browser in which nobody is logged on yet."""
        return self.request.cookies.get(self.site.visit_cookie, "")

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of a posted form."""
        form: Mapping[str, str] = self.request.scope.get("penstock.form", {})
        return form

    @property
    def is_navigation(self) -> bool:
        """Whether a person opened the page, not the page itself a part of it anew."""
        return "hx-request" not in self.request.headers

    async def is_still_here(self) -> bool:
        """Whether the session that the request came with still lasts."""
        return await self.context.identify.by_cookie(self.cookie, touches=False) is not None

    def page(self, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
        """Answer with a page."""
        text = self.context.renderer.render(
            template,
            context,
            address=address_of(self.request),
            principal=self.request.scope.get("penstock.principal"),
            form_token=self.request.scope.get("penstock.form_token", ""),
        )
        return HTMLResponse(text, status)

    def keep_visit(self, answer: Response, visit: str) -> None:
        """Give a browser in which nobody is logged on the cookie that its forms hang on."""
        answer.set_cookie(
            self.site.visit_cookie,
            visit,
            max_age=_VISIT_SECONDS,
            path="/",
            secure=self.site.is_secure,
            httponly=True,
            samesite="lax",
        )

    def go(self, path: str, **query: str) -> RedirectResponse:
        """Answer a form: see there what came of it."""
        return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)

    async def send(self, topic: Topic, command: Command, **details: Any) -> RedirectResponse:
        """Give a command in the principal's name, and go to the page that follows it."""
        command_id = await self.context.commands.send(
            topic, command, actor=self.principal.name, details=details
        )
        return self.go(f"/commands/{command_id}")

    async def accept(self, topic: Topic, command: Command, **details: Any) -> Accepted:
        """Give a command in the principal's name, and answer a program with its id."""
        return Accepted(
            await self.context.commands.send(
                topic, command, actor=self.principal.name, details=details
            )
        )

    def read_form(self, model: type[BaseModel]) -> Any:
        """Return the posted form as a model; empty fields count as left out.

        Raises:
            RefusedError: a field is missing or wrong; says which.
        """
        given = {name: value for name, value in self.form.items() if value and name != "csrf"}
        try:
            return model.model_validate(given)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)
            raise RefusedError("; ".join(_describe(item) for item in problems)) from error


def _describe(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    return f"{place}: {item['msg']}" if place else str(item["msg"])


def get_view(request: Request) -> View:
    """Return the view of a request."""
    return View(request)


CurrentView = Annotated[View, Depends(get_view)]


def as_id(text: str) -> uuid.UUID:
    """Return an id out of an address.

    Raises:
        NotFoundError: nothing can have such an id.
    """
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise NotFoundError from error


def existing(found: T | None) -> T:
    """Return what was found.

    Raises:
        NotFoundError: it is nothing.
    """
    if found is None:
        raise NotFoundError
    return found
