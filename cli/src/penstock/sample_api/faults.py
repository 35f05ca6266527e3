"""Faults on demand: which requests go wrong, how, and how often."""

import asyncio
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_HANG_SECONDS = 3600.0


class Fault(BaseModel):
    """One way to fail."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["status", "hang", "truncate", "error-body"]
    status: Annotated[int, Field(ge=300, le=599)] = 503
    retry_after: str | None = None
    """The header `Retry-After`, as a number of seconds or a date."""

    path: str = "/"
    """Requests whose path begins with this."""

    item: str | None = None
    """Only requests that ask for this item: in the last part of the path, or as `symbol`."""

    times: int | None = None
    """So often, then no more; None means until it is taken away."""


class FaultPlan(BaseModel):
    """What goes wrong from now on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    faults: tuple[Fault, ...] = ()
    same_series: bool = False
    """Every ticker is given the bars of one: the corrupt delivery that really happened."""

    splits: dict[str, float] = {}
    """Tickers whose history is re-based: prices divided, volumes multiplied by the factor."""


class Faults:
    """The plan in force, and what was asked so far."""

    def __init__(self) -> None:
        self.plan = FaultPlan()
        self.requests: Counter[str] = Counter()
        self._used: Counter[int] = Counter()

    def follow(self, plan: FaultPlan) -> None:
        """Take a new plan; counters start again."""
        self.plan = plan
        self._used.clear()
        self.requests.clear()

    def strike(self, request: Request) -> Fault | None:
        """Count a request; return the fault that it meets."""
        path = request.url.path
        self.requests[path] += 1
        item = request.query_params.get("symbol") or path.rpartition("/")[2]
        for index, fault in enumerate(self.plan.faults):
            if not path.startswith(fault.path) or (fault.item or item) != item:
                continue
            if fault.times is None or self._used[index] < fault.times:
                self._used[index] += 1
                return fault
        return None


async def fail(fault: Fault) -> Response | None:
    """Answer as the fault says; None where it spoils a real answer instead."""
    match fault.kind:
        case "hang":
            await asyncio.sleep(_HANG_SECONDS)
            return None
        case "error-body":
            return JSONResponse({"Error Message": "Something is wrong on our side."})
        case "status":
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return JSONResponse(
                {"Error Message": f"status {fault.status}"}, fault.status, headers=headers
            )
        case "truncate":
            return None


def truncated(response: Response) -> Response:
    """Return the first half of an answer, as if it were the whole."""
    body = bytes(response.body)
    return Response(body[: len(body) // 2], media_type=response.media_type)
