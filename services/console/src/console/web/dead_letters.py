"""Dead letters: why messages were rejected, and sending them again or closing them."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from console.domain.paging import Page
from console.domain.roles import Role
from console.ports.dead_letters import (
    LetterBody,
    LetterDetail,
    LetterFilter,
    LetterGroup,
    LetterLine,
    LetterMessage,
    dead_topic_of,
)
from console.web.answers import Accepted
from console.web.context import CurrentView, View, as_id, existing
from contracts.commands import ReplayRequested
from contracts.topics import REPLAY_REQUESTED

GROUPS = 200
"""Of reasons, on the page."""

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["dead letters"])
Wanted = Annotated[LetterFilter, Query()]


class LettersOrder(BaseModel):
    """What becomes of open letters of one topic and consumer that fit every filter."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["replay", "discard"] = "replay"
    topic: str = Field(min_length=1, max_length=250)
    consumer: str = Field(min_length=1, max_length=100)
    category: str | None = Field(None, max_length=100)
    error_class: str | None = Field(None, max_length=200)
    letter_id: uuid.UUID | None = None
    drift_id: uuid.UUID | None = None
    dry_run: bool = False
    reason: str | None = Field(None, max_length=500)

    @model_validator(mode="after")
    def _discarding_has_a_reason(self) -> "LettersOrder":
        if self.action == "discard" and not self.dry_run and not (self.reason or "").strip():
            raise ValueError("discarding needs a reason")
        return self


class LettersChoice(BaseModel):
    """Which letters a decision would be about."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    action: Literal["replay", "discard"] = "replay"
    topic: str = Field(max_length=250)
    consumer: str = Field(max_length=100)
    category: str = Field("", max_length=100)
    error_class: str = Field("", max_length=200)


@pages.get("/dead-letters")
async def show_letters(view: CurrentView, wanted: Wanted) -> Response:
    """Show open letters by reason, and those that fit a filter."""
    letters = view.context.dead_letters
    return view.page(
        "dead_letters.html",
        groups=(await letters.groups(LetterFilter()))[:GROUPS],
        letters=await letters.list(wanted),
        choices=await letters.choices(),
        wanted=wanted,
    )


@pages.get("/dead-letters/{letter_id}")
async def show_letter(view: CurrentView, letter_id: str) -> Response:
    """Show a letter; its body only to those who may see values, and audited."""
    letter = await _find(view, letter_id)
    body = await _body(view, letter) if view.principal.may(Role.OPERATOR) else None
    return view.page("dead_letter.html", letter=letter, line=letter.line, body=body)


@pages.get("/dead-letters/decisions/new")
async def show_decision(view: CurrentView, choice: Annotated[LettersChoice, Query()]) -> Response:
    """Say how many letters a decision is about, before it is made."""
    wanted = LetterFilter(
        topic=choice.topic,
        consumer=choice.consumer,
        category=choice.category,
        error_class=choice.error_class,
    )
    count = await view.context.dead_letters.count(wanted)
    return view.page("decide_letters.html", choice=choice, count=count, wanted=wanted)


@pages.post("/dead-letters/decisions/new")
async def decide(view: CurrentView) -> Response:
    """Have letters replayed, discarded, or counted."""
    order: LettersOrder = view.read_form(LettersOrder)
    return await view.send(REPLAY_REQUESTED, replay_command(order))


@api.get("/dead-letters")
async def list_letters(view: CurrentView, wanted: Wanted) -> Page[LetterLine]:
    """Return letters, the newest first."""
    return await view.context.dead_letters.list(wanted)


@api.get("/letter-groups")
async def list_groups(view: CurrentView, wanted: Wanted) -> list[LetterGroup]:
    """Return letters by reason and consumer, the most first; by default those that are open."""
    return list(await view.context.dead_letters.groups(wanted))


@api.get("/dead-letters/{letter_id}")
async def read_letter(view: CurrentView, letter_id: str) -> LetterDetail:
    """Return a letter without its body."""
    return await _find(view, letter_id)


@api.get("/dead-letters/{letter_id}/body")
async def read_body(view: CurrentView, letter_id: str) -> LetterBody:
    """Return the beginning of a letter's body; every look is audited."""
    return await _body(view, await _find(view, letter_id))


@api.get("/dead-letters/{letter_id}/message")
async def read_message(view: CurrentView, letter_id: str) -> LetterMessage:
    """Return a letter's message byte by byte; every look is audited."""
    letter = await _find(view, letter_id)
    message = existing(await view.context.dead_letters.message(letter.line.id))
    await _note(view, letter)
    return message


@api.post("/dead-letters/decisions/new", status_code=202)
async def request_decision(view: CurrentView, order: LettersOrder) -> Accepted:
    """Have letters replayed, discarded, or counted."""
    return await view.accept(REPLAY_REQUESTED, replay_command(order))


def replay_command(order: LettersOrder) -> ReplayRequested:
    """Return the command."""
    is_counting = order.dry_run and order.action == "discard" and not order.reason
    return ReplayRequested(
        topic=dead_topic_of(order.topic, order.consumer),
        action=order.action,
        letter_ids=(order.letter_id,) if order.letter_id else (),
        category=order.category,
        error_class=order.error_class,
        drift_id=order.drift_id,
        dry_run=order.dry_run,
        reason="count first" if is_counting else order.reason,
    )


async def _find(view: View, letter_id: str) -> LetterDetail:
    return existing(await view.context.dead_letters.find(as_id(letter_id)))


async def _body(view: View, letter: LetterDetail) -> LetterBody:
    body = existing(await view.context.dead_letters.body(letter.line.id))
    if view.is_navigation:
        await _note(view, letter)
    return body


async def _note(view: View, letter: LetterDetail) -> None:
    await view.context.audit.record(
        view.principal.name,
        "dead-letter.viewed",
        subject=letter.line.dead_topic,
        details={"letter_id": str(letter.line.id), "event_id": letter.line.event_id},
    )
