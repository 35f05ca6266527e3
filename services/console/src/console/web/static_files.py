"""Stylesheet, scripts and icons."""

from fastapi import APIRouter
from starlette.responses import Response

from console.web.context import CurrentView, existing

router = APIRouter(include_in_schema=False)


@router.get("/static/{name}")
async def asset(view: CurrentView, name: str) -> Response:
    """Return a file; its address changes with its contents."""
    found = existing(view.context.assets.get(name))
    return Response(
        found.body,
        media_type=found.media_type,
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )
