"""The application: routes, log-on, faults."""

import base64
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.sample_api.directory import Directory
from penstock.sample_api.faults import FaultPlan, Faults, fail, truncated
from penstock.sample_api.market import Bar, Market

Endpoint = Callable[[Request], Awaitable[Response]]

_LARGEST_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the API accepts: made up for the demo, and no secret."""

    key: str = "demo-key"
    token: str = "demo-token"  # noqa: S105 - as above
    client: tuple[str, str] = ("demo-client", "demo-secret")
    token_seconds: float = 3600.0


@dataclass(slots=True)
class SampleApi:
    """All endpoints, over one set of data."""

    market: Market
    directory: Directory
    credentials: Credentials = Credentials()
    faults: Faults = field(default_factory=Faults)
    _tokens: dict[str, float] = field(default_factory=dict)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        keyed, bearer, oauth = self._keyed, self._bearer, self._oauth
        tdx, umich = "/TDWebApi/api", "/um/bf/Department/v2"
        return Starlette(
            routes=[
                Route("/api/v3/historical-price-full/{symbol}", keyed(self._v3_prices)),
                Route("/stable/historical-price-eod/full", keyed(self._stable_prices)),
                Route("/api/v3/discounted-cash-flow/{symbol}", keyed(self._valuation)),
                Route("/stable/discounted-cash-flow", keyed(self._valuation)),
                Route("/stable/dcf-bulk", keyed(self._valuations)),
                Route(f"{tdx}/people/search", bearer(self._search), methods=["POST"]),
                Route(f"{tdx}/people/{{uid}}", bearer(self._person)),
                Route(f"{tdx}/accounts", bearer(self._accounts)),
                Route("/um/oauth2/token", self._token, methods=["POST"]),
                Route(f"{umich}/DeptData", oauth(self._departments)),
                Route(f"{umich}/DeptEmpData", oauth(self._employees)),
                Route("/paging/{style}", keyed(self._paged)),
                Route("/control", self._control, methods=["GET", "PUT"]),
            ],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=self._dispatch)],
        )

    async def _dispatch(
        self, request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if request.url.path == "/control":
            return await answer(request)
        fault = self.faults.strike(request)
        if fault is None:
            return await answer(request)
        if (failure := await fail(fault)) is not None:
            return failure
        streamed: Any = await answer(request)
        body = b"".join([chunk async for chunk in streamed.body_iterator])
        return truncated(Response(body, media_type=streamed.headers.get("content-type")))

    async def _control(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                self.faults.follow(FaultPlan.model_validate_json(await request.body()))
            except ValidationError as error:
                return JSONResponse({"problems": error.errors(include_url=False)}, 422)
        return JSONResponse(
            {
                "plan": self.faults.plan.model_dump(),
                "requests": dict(self.faults.requests),
                "symbols": self.market.symbols,
            }
        )

    # --- log-on ------------------------------------------------------------------------------

    def _keyed(self, endpoint: Endpoint) -> Endpoint:
        return self._guarded(
            endpoint, lambda request: request.query_params.get("apikey") == self.credentials.key
        )

    def _bearer(self, endpoint: Endpoint) -> Endpoint:
        return self._guarded(
            endpoint, lambda request: _bearer_of(request) == self.credentials.token
        )

    def _oauth(self, endpoint: Endpoint) -> Endpoint:
        return self._guarded(
            endpoint,
            lambda request: self._tokens.get(_bearer_of(request), 0.0) > time.monotonic(),
        )

    @staticmethod
    def _guarded(endpoint: Endpoint, is_known: Callable[[Request], bool]) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if not is_known(request):
                return JSONResponse({"Error Message": "Invalid credentials."}, 401)
            return await endpoint(request)

        return guarded

    async def _token(self, request: Request) -> Response:

        name, secret = self.credentials.client
        expected = base64.b64encode(f"{name}:{secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return JSONResponse({"error": "invalid_client"}, 401)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = time.monotonic() + self.credentials.token_seconds
        life = self.credentials.token_seconds
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": life})

    # --- market ------------------------------------------------------------------------------

    def _bars(self, request: Request, symbol: str) -> list[Bar]:
        plan = self.faults.plan
        return self.market.bars(
            symbol,
            start=request.query_params.get("from", ""),
            end=request.query_params.get("to", "9999"),
            same_series=plan.same_series,
            split=plan.splits.get(symbol, 1.0),
        )

    async def _v3_prices(self, request: Request) -> Response:
        symbols = str(request.path_params["symbol"]).split(",")
        found = [self.market.v3(symbol, self._bars(request, symbol)) for symbol in symbols]
        return JSONResponse(found[0] if len(found) == 1 else {"historicalStockList": found})

    async def _stable_prices(self, request: Request) -> Response:
        symbol = request.query_params.get("symbol", "")
        return JSONResponse(self.market.stable(symbol, self._bars(request, symbol)))

    async def _valuation(self, request: Request) -> Response:
        symbol = request.path_params.get("symbol") or request.query_params.get("symbol", "")
        return JSONResponse(self.market.valuation(str(symbol)))

    async def _valuations(self, _: Request) -> Response:
        return Response(self.market.valuations_csv(), media_type="text/csv")

    # --- directory ---------------------------------------------------------------------------

    async def _search(self, request: Request) -> Response:
        wanted = await request.json()
        people = self.directory.people
        if isinstance(wanted.get("IsActive"), bool):
            people = [row for row in people if row["IsActive"] is wanted["IsActive"]]
        return JSONResponse(people[: wanted.get("MaxResults") or None])

    async def _person(self, request: Request) -> Response:
        person = self.directory.person(str(request.path_params["uid"]))
        return JSONResponse(person) if person else JSONResponse({"Message": "not found"}, 404)

    async def _accounts(self, request: Request) -> Response:
        moment = request.query_params.get("ModifiedDateFrom", "")
        return JSONResponse(self.directory.accounts_since(moment))

    async def _departments(self, request: Request) -> Response:
        return _slice(request, "DeptData", self.directory.departments)

    async def _employees(self, request: Request) -> Response:
        return _slice(request, "DeptEmpData", self.directory.employees)

    async def _paged(self, request: Request) -> Response:
        """Give the departments in one of the usual ways to page."""
        rows, style = self.directory.departments, request.path_params["style"]
        size = int(request.query_params.get("size", "5"))
        place = int(request.query_params.get("page", "1")) - 1
        if style == "cursor":
            place = int(request.query_params.get("cursor") or "0")
        part = rows[place * size : (place + 1) * size]
        has_more = (place + 1) * size < len(rows)
        body: Any = {"items": part, "total": len(rows)}
        if style == "cursor":
            body |= {"next": str(place + 1) if has_more else None}
        headers = {}
        if style == "link" and has_more:
            following = request.url.include_query_params(page=place + 2).remove_query_params(
                "apikey"
            )
            headers["Link"] = f'<{following}>; rel="next"'
        return JSONResponse(body, headers=headers)


def _bearer_of(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def _slice(request: Request, name: str, rows: Sequence[dict[str, Any]]) -> Response:
    start = int(request.query_params.get("$start_index", "0"))
    count = min(_LARGEST_COUNT, int(request.query_params.get("$count", "1000")))
    wrapper = {f"{name}Response": {name: list(rows[start : start + count])}}
    return JSONResponse(wrapper)
