"""An API with people in it, that a test fills: the rig of the HTTP source."""

import socket
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.clock import SystemClock
from chassis.shares.port import Share
from scanner.adapters import http_source
from scanner.ports.records import RecordSource
from scanner.settings.http import HttpRecords
from tests.support.record_rigs import PASSWORD_VARIABLE
from tests.support.sample_api import Keys

_KEY = "rig-key-of-the-api"


class HttpRig:
    """A list in pages, single records, and a parameter for the time of change."""

    kind = "http"
    module: ModuleType = http_source
    id_fields: tuple[str, ...] = ("id",)

    def __init__(self) -> None:
        self.secret: str | None = _KEY
        self._people: dict[str, dict[str, Any]] = {}
        self._spoilt: list[dict[str, Any]] = []
        routes = [Route("/people", self._list), Route("/people/{id}", self._one)]
        config = uvicorn.Config(Starlette(routes=routes), log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def records(self) -> dict[str, Any]:
        port = self._socket.getsockname()[1]
        return {
            "kind": "http",
            "api": {
                "base_url": f"http://127.0.0.1:{port}",
                "auth": {
                    "kind": "header",
                    "name": "X-Api-Key",
                    "value": f"env:{PASSWORD_VARIABLE}",
                },
            },
            "call": {
                "path": "/people",
                "record_path": "people",
                "total_path": "total",
                "paging": {"by": "offset", "size": 2},
            },
            "item": {"path": "/people/{item}"},
            "since": {"param": "changed_since", "field": "changed_at"},
        }

    def scan(self) -> dict[str, Any]:
        return {"significant": ["name"], "detection": {"by": "timestamp"}}

    def open(self) -> RecordSource:
        access = http_source.HttpAccess(
            secrets=Keys({PASSWORD_VARIABLE: self.secret or ""}),
            clock=SystemClock(),
            database=None,
            open_share=_no_share,
            items=None,
        )
        return http_source.HttpSource(HttpRecords.model_validate(self.records()), access)

    async def put(self, people: Mapping[str, str]) -> None:
        now = datetime.now(UTC).isoformat()  # noqa: TID251 - the API has a clock of its own
        before, self._people = self._people, {}
        for identity, name in people.items():
            known = before.get(identity)
            unchanged = known is not None and known["name"] == name
            row = {"id": identity, "name": name, "changed_at": now}
            self._people[identity] = known if known is not None and unchanged else row

    async def spoil(self) -> None:
        now = datetime.now(UTC).isoformat()  # noqa: TID251 - the API has a clock of its own
        self._spoilt.append({"id": None, "name": "nobody", "changed_at": now})

    def refuse(self) -> None:
        self.secret = "wrong-key-of-the-api"

    def name_in(self, record: Mapping[str, Any]) -> str:
        return str(record["name"])

    async def _list(self, request: Request) -> Response:
        if request.headers.get("x-api-key") != _KEY:
            return JSONResponse({"Message": "no"}, 401)
        since = request.query_params.get("changed_since", "").replace("Z", "+00:00")
        rows = [*self._people.values(), *self._spoilt]
        rows = [row for row in rows if row["changed_at"] >= since]
        begin = int(request.query_params["offset"])
        size = int(request.query_params["limit"])
        return JSONResponse({"people": rows[begin : begin + size], "total": len(rows)})

    async def _one(self, request: Request) -> Response:
        if request.headers.get("x-api-key") != _KEY:
            return JSONResponse({"Message": "no"}, 401)
        found = self._people.get(request.path_params["id"])
        return JSONResponse(found) if found else JSONResponse({"Message": "unknown"}, 404)


def _no_share() -> Share:
    raise AssertionError("no share is needed")
