"""Stands before every route: host, body size, who it is, what they may, and whether a form is ours.

It decides on the table in `console.web.access` alone, before the framework reads anything.
"""

import time
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.errors import TransientError
from chassis.logs import get_logger
from console import metrics
from console.domain.credentials import form_token, is_form_token
from console.domain.principals import Principal
from console.handlers.identify import Identify
from console.web.access import AccessTable, Rule
from console.web.addresses import address_of
from console.web.answers import Answers
from console.web.site import Site

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 200

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"
_STREAM = "/events"
_PASSWORD_PATHS = frozenset({"/password", "/logout"})
"""What somebody may open who must choose a password first."""

LIVE_HEADER = "x-penstock-live"
"""Sent by pages that refresh themselves: nobody may sit before them."""


class RefusalError(Exception):
    """The request goes no further."""

    def __init__(
        self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class Guard:
    """Lets through what the table allows."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        site: Site,
        access: AccessTable,
        identify: Identify,
        answers: Answers,
    ) -> None:
        self._app = app
        self._site = site
        self._access = access
        self._identify = identify
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            return  # no websockets, and the life of the application is ours
        request = Request(scope, receive)
        try:
            admitted = await self._admit(request, scope, receive)
        except RefusalError as refusal:
            metrics.REFUSED.labels(str(int(refusal.status))).inc()
            answer = self._answers.error(request, refusal.status, refusal.reason)
            answer.headers.update(refusal.headers or {})
            await answer(scope, receive, send)
        except TransientError as error:
            get_logger().warning("request_not_identified", error=error)
            answer = self._answers.unavailable(request)
            await answer(scope, receive, send)
        else:
            if isinstance(admitted, Response):
                await admitted(scope, receive, send)
            else:
                await self._pass_on(scope, admitted, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the request answered, and measure how long that takes."""
        rule: Rule = scope["penstock.rule"]
        if rule.path == _STREAM:
            await self._app(scope, receive, send)
            return
        status = 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, note_status)
        finally:
            seconds = time.perf_counter() - started
            metrics.REQUESTS.labels(rule.method, rule.path, str(status)).observe(seconds)

    async def _admit(self, request: Request, scope: Scope, receive: Receive) -> Receive | Response:
        """Return how the body is read from here on, or the answer."""
        self._check_host(request)
        rule = self._find_rule(request)
        scope["penstock.rule"] = rule
        principal, cookie = await self._identify_principal(request)
        scope["penstock.principal"] = principal
        scope["penstock.cookie"] = cookie
        scope["penstock.form_token"] = form_token(cookie) if cookie else ""
        if redirect := self._check_role(request, rule, principal):
            return redirect
        if request.method in _SAFE:
            return receive
        body = await _read_body(receive)
        form = _parse_form(request, body)
        scope["penstock.form"] = form
        if principal is None or not principal.is_token:
            self._check_source(request, form, cookie)
        return _replay(body, receive)

    def _check_host(self, request: Request) -> None:
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        except ValueError:
            host = None
        if host not in self._site.hosts:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "This is not the console's address.")

    def _find_rule(self, request: Request) -> Rule:
        # What the router compares: in the address, an escaped `?` or `#` would end the path.
        rules = {rule.method: rule for rule in self._access.methods(request.scope["path"])}
        if not rules:
            raise RefusalError(HTTPStatus.NOT_FOUND, "There is no such page.")
        if request.method not in rules:
            raise RefusalError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "This cannot be done with this page.",
                {"Allow": ", ".join(sorted(rules))},
            )
        return rules[request.method]

    async def _identify_principal(self, request: Request) -> tuple[Principal | None, str | None]:
        """Return who asks, and the cookie that forms hang on."""
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _is_api(request):
            return await self._identify.by_bearer(credentials.strip()), None
        cookie = request.cookies.get(self._site.session_cookie)
        if cookie:
            touches = LIVE_HEADER not in request.headers and request.scope["path"] != _STREAM
            principal = await self._identify.by_cookie(cookie, touches=touches)
            if principal is not None:
                return principal, cookie
        return None, request.cookies.get(self._site.visit_cookie)

    def _check_role(
        self, request: Request, rule: Rule, principal: Principal | None
    ) -> Response | None:
        if rule.role is None:
            return None
        if principal is None:
            if _is_api(request) or request.method not in _SAFE or rule.path == _STREAM:
                raise RefusalError(
                    HTTPStatus.UNAUTHORIZED, "Log on first.", {"WWW-Authenticate": "Bearer"}
                )
            return RedirectResponse(f"/login?next={quote(address_of(request), safe='')}", 303)
        if principal.must_change_password and rule.path not in _PASSWORD_PATHS:
            if _is_api(request) or rule.path == _STREAM:
                raise RefusalError(HTTPStatus.FORBIDDEN, "Choose a password first.")
            return RedirectResponse("/password", 303)
        if not principal.may(rule.role):
            raise RefusalError(
                HTTPStatus.FORBIDDEN, f"This needs the role {rule.role}; yours is {principal.role}."
            )
        return None

    def _check_source(self, request: Request, form: Mapping[str, str], cookie: str | None) -> None:
        """Make sure that a page of ours sent this, in this browser."""
        if request.headers.get("origin") not in self._site.origins:
            raise RefusalError(HTTPStatus.FORBIDDEN, "The request came from another site.")
        given = request.headers.get("x-csrf-token") or form.get("csrf", "")
        if cookie is None or not is_form_token(given, cookie):
            raise RefusalError(
                HTTPStatus.FORBIDDEN, "The form is out of date; reload the page and send it again."
            )


def _is_api(request: Request) -> bool:
    return bool(request.scope["path"].startswith("/api/"))


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusalError(HTTPStatus.BAD_REQUEST, "The request was cut off.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large.")
        if not message.get("more_body", False):
            return bytes(body)


def _parse_form(request: Request, body: bytes) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "The form cannot be read.") from error
    return dict(pairs)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
