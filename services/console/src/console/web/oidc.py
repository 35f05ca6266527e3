"""Logging on through the organisation's identity provider: there and back."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from console.domain.credentials import new_token
from console.errors import LoginRefusedError, OidcError
from console.handlers.oidc_login import OidcLogin
from console.web.addresses import local_path
from console.web.context import CurrentView, View, existing
from console.web.login import Next, enter, show_form, visitor_of

router = APIRouter(include_in_schema=False)

CALLBACK = "/login/oidc/callback"

Answer = Annotated[str, Query(max_length=4000)]


@router.get("/login/oidc")
async def begin(view: CurrentView, next: Next = "/") -> Response:  # noqa: A002 - its usual name
    """Send the browser to the provider."""
    visit = view.visit or new_token()
    address = await _oidc(view).begin(
        visit=visit, next_path=local_path(next), redirect=view.site.address + CALLBACK
    )
    answer = RedirectResponse(address, 303)
    view.keep_visit(answer, visit)
    return answer


@router.get(CALLBACK)
async def finish(
    view: CurrentView, state: Answer = "", code: Answer = "", error: Answer = ""
) -> Response:
    """Let in who comes back with a code."""
    oidc = _oidc(view)
    if error or not code:
        return show_form(view, status=401, problem="The identity provider did not let you in.")
    try:
        cookie, next_path = await oidc.finish(
            state=state,
            code=code,
            visit=view.visit,
            visitor=visitor_of(view),
            redirect=view.site.address + CALLBACK,
        )
    except (LoginRefusedError, OidcError) as refusal:
        return show_form(view, status=401, problem=str(refusal))
    return enter(view, cookie, next=next_path)


def _oidc(view: View) -> OidcLogin:
    return existing(view.context.oidc)
