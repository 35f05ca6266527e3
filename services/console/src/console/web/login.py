"""Logging on and off, and choosing a password."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from console.domain.credentials import form_token, new_token
from console.errors import LoginRefusedError, RefusedError
from console.handlers.login import Visitor
from console.web.addresses import local_path
from console.web.context import CurrentView, View

router = APIRouter(include_in_schema=False)

_MAX_AGENT = 200


class Credentials(BaseModel):
    """What the form for logging on says."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    name: str = ""
    password: str = ""
    next: str = "/"


class NewPassword(BaseModel):
    """What the form for a new password says."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    current: str = ""
    new: str = ""
    again: str = ""


Next = Annotated[str, Query(max_length=2000)]


@router.get("/login")
async def show_login(view: CurrentView, next: Next = "/") -> Response:  # noqa: A002 - its usual name
    """Show the form."""
    return show_form(view, next=local_path(next))


@router.post("/login")
async def log_in(view: CurrentView) -> Response:
    """Compare the password, begin a session."""
    given = view.read_form(Credentials)
    try:
        cookie = await view.context.login.by_password(
            given.name, given.password, visitor=visitor_of(view)
        )
    except LoginRefusedError as error:
        return show_form(view, status=401, problem=str(error), name=given.name, next=given.next)
    return enter(view, cookie, next=given.next)


@router.post("/logout")
async def log_out(view: CurrentView) -> Response:
    """End the session."""
    await view.context.login.log_out(view.principal, view.cookie)
    answer = view.go("/login")
    answer.delete_cookie(view.site.session_cookie, path="/", secure=view.site.is_secure)
    return answer


@router.get("/password")
async def show_password(view: CurrentView) -> Response:
    """Show the form."""
    return view.page("password.html", problem=None)


@router.post("/password")
async def change_password(view: CurrentView) -> Response:
    """Replace the password."""
    given = view.read_form(NewPassword)
    if given.new != given.again:
        return view.page("password.html", status=409, problem="The two new passwords differ.")
    try:
        await view.context.login.change_password(
            view.principal,
            view.cookie,
            current=given.current,
            new=given.new,
            visitor=visitor_of(view),
        )
    except RefusedError as error:
        return view.page("password.html", status=409, problem=str(error))
    return view.go("/")


def enter(view: View, cookie: str, *, next: str) -> Response:  # noqa: A002 - as above
    """Give the browser its session, and go where it wanted to."""
    answer = view.go(local_path(next))
    answer.set_cookie(
        view.site.session_cookie,
        cookie,
        path="/",
        secure=view.site.is_secure,
        httponly=True,
        # `strict` would leave it out when the identity provider sends the browser back.
        samesite="lax",
    )
    return answer


def visitor_of(view: View) -> Visitor:
    """Return from where a request comes."""
    client = view.request.client
    agent = view.request.headers.get("user-agent", "")
    return Visitor(client.host if client else "", agent[:_MAX_AGENT])


def show_form(
    view: View,
    *,
    status: int = 200,
    problem: str = "",
    name: str = "",
    next: str = "/",  # noqa: A002
) -> Response:
    """Show the form, on a cookie that it hangs on."""
    visit = view.visit or new_token()
    answer = view.page(
        "login.html",
        status=status,
        problem=problem,
        name=name,
        next=next,
        has_oidc=view.context.oidc is not None,
        login_token=form_token(visit),
    )
    view.keep_visit(answer, visit)
    return answer
