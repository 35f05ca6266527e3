"""Schema drift: what changed at a source, and accepting or rejecting it."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from console.domain.paging import Page
from console.domain.roles import Role
from console.domain.values import shown
from console.errors import RefusedError
from console.ports.drifts import DriftDetail, DriftFilter, DriftLine, DriftSample
from console.web.answers import Accepted
from console.web.context import CurrentView, View, as_id, existing
from contracts.schemas import Decision, SchemaDecisionRequested
from contracts.topics import SCHEMA_DECISION_REQUESTED

SAMPLE_CHARACTERS = 16_000
"""Of a sample, on its page."""

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["schema drift"])
Wanted = Annotated[DriftFilter, Query()]


class DecisionOrder(BaseModel):
    """What becomes of a change."""

    model_config = ConfigDict(extra="forbid")

    decision: Decision
    reason: str = Field(min_length=3, max_length=500)


@pages.get("/drifts")
async def show_drifts(view: CurrentView, wanted: Wanted) -> Response:
    """Show the inbox."""
    drifts = view.context.drifts
    return view.page(
        "drifts.html",
        drifts=await drifts.list(wanted),
        waiting=await drifts.waiting(),
        wanted=wanted,
    )


@pages.get("/drifts/{drift_id}")
async def show_drift(view: CurrentView, drift_id: str) -> Response:
    """Show a change; the record that showed it only to those who may see values."""
    drift = await _find(view, drift_id)
    told = await _sample(view, drift) if view.principal.may(Role.OPERATOR) else None
    return view.page(
        "drift.html",
        drift=drift,
        line=drift.line,
        sample=shown(told, SAMPLE_CHARACTERS, indent=2),
        old=_lines(drift.old),
        new=_lines(drift.new),
    )


@pages.post("/drifts/{drift_id}/decision")
async def decide(view: CurrentView, drift_id: str) -> Response:
    """Accept or reject a change."""
    order: DecisionOrder = view.read_form(DecisionOrder)
    command = decision_command(await _find(view, drift_id), order)
    return await view.send(SCHEMA_DECISION_REQUESTED, command)


@api.get("/drifts")
async def list_drifts(view: CurrentView, wanted: Wanted) -> Page[DriftLine]:
    """Return changes, the newest first."""
    return await view.context.drifts.list(wanted)


@api.get("/drifts/{drift_id}")
async def read_drift(view: CurrentView, drift_id: str) -> DriftDetail:
    """Return a change."""
    return await _find(view, drift_id)


@api.get("/drifts/{drift_id}/sample")
async def read_sample(view: CurrentView, drift_id: str) -> DriftSample:
    """Return the record that showed a change; every look is audited."""
    return DriftSample(await _sample(view, await _find(view, drift_id)))


@api.post("/drifts/{drift_id}/decision", status_code=202)
async def request_decision(view: CurrentView, drift_id: str, order: DecisionOrder) -> Accepted:
    """Accept or reject a change."""
    command = decision_command(await _find(view, drift_id), order)
    return await view.accept(SCHEMA_DECISION_REQUESTED, command)


def decision_command(drift: DriftDetail, order: DecisionOrder) -> SchemaDecisionRequested:
    """Return the command; what was rejected may be accepted later, nothing else is reopened.

    Raises:
        RefusedError: there is nothing to decide.
    """
    line = drift.line
    reconsiders = line.status == "rejected" and order.decision is Decision.ACCEPT
    if line.status != "waiting" and not reconsiders:
        raise RefusedError(f"The change is {line.status}: there is nothing to decide.")
    return SchemaDecisionRequested(
        drift_id=line.id, decision=order.decision, reconsider=reconsiders, reason=order.reason
    )


async def _find(view: View, drift_id: str) -> DriftDetail:
    return existing(await view.context.drifts.find(as_id(drift_id)))


async def _sample(view: View, drift: DriftDetail) -> Any:
    sample = await view.context.drifts.sample(drift.line.id)
    if sample is not None and view.is_navigation:
        await view.context.audit.record(
            view.principal.name,
            "drift-sample.viewed",
            subject=drift.line.dataset,
            details={"drift_id": str(drift.line.id)},
        )
    return sample


def _lines(schema: object) -> str:
    """Return a schema as lines of `field: type`, so that a difference names fields."""
    if not isinstance(schema, dict):
        return json.dumps(schema, indent=2)
    return "\n".join(
        f"{name}: {kind if isinstance(kind, str) else json.dumps(kind)}"
        for name, kind in sorted(schema.items())
    )
