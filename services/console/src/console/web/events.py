"""The stream of changes: which lists to read anew, never what is in them."""

import asyncio
import time
from collections.abc import AsyncGenerator

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from chassis.errors import TransientError
from console.handlers.feed import Listener
from console.web.context import CurrentView, View

router = APIRouter(include_in_schema=False)

HEARTBEAT_SECONDS = 15.0
"""Proxies cut what is silent; and so often it is asked whether the session still lasts."""

_RETRY_MS = 2000


@router.get("/events")
async def events(view: CurrentView) -> StreamingResponse:
    """Stream the names of what changes, as server-sent events."""
    return StreamingResponse(
        _stream(view),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _stream(view: View) -> AsyncGenerator[str]:
    feed = view.context.feed
    with feed.listen(view.request.headers.get("last-event-id")) as listener:
        yield f"retry: {_RETRY_MS}\n\n"
        asked_at = time.monotonic()
        while True:
            yield await _until_heartbeat(listener) or ": still here\n\n"
            if time.monotonic() - asked_at >= HEARTBEAT_SECONDS:
                asked_at = time.monotonic()
                if not await _may_stay(view):
                    return


async def _may_stay(view: View) -> bool:
    try:
        return await view.is_still_here()
    except TransientError:
        return True  # nobody can tell at present; the next heartbeat asks again


async def _until_heartbeat(listener: Listener) -> str:
    """Return the next changes; nothing when it is time for a sign of life."""
    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            changes = await listener.next()
    except TimeoutError:
        return ""
    return "".join(f"id: {item.id}\nevent: {item.what}\ndata: {item.what}\n\n" for item in changes)
