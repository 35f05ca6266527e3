"""Users and API tokens, for administrators.

What is shown once - a one-time password, a token - is in the answer to the form itself: an address
to go to would have to keep it.
"""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from console.domain.principals import NAME_PATTERN
from console.domain.roles import Role
from console.errors import RefusedError
from console.ports.identity import ApiToken, User
from console.web.context import CurrentView, View, as_id

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["users"])

_LOWER = StringConstraints(strip_whitespace=True, to_lower=True, pattern=NAME_PATTERN)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewUser(_Form):
    """A user to be added."""

    name: Annotated[str, _LOWER]
    role: Role


class ChangedUser(_Form):
    """What a user may do from now on."""

    role: Role
    is_active: bool = False


class NewToken(_Form):
    """A token to be made."""

    user_id: str
    label: Annotated[str, _LOWER]
    role: Role
    days: Annotated[int, Field(ge=1, le=366)] = 90


class OneTimePassword(BaseModel):
    """Good for one log-on, after which another must be chosen."""

    name: str
    password: str


class MadeToken(BaseModel):
    """A token; nobody can show it again."""

    token: str


@pages.get("/users")
async def show_users(view: CurrentView) -> Response:
    """Show users and tokens."""
    return await _show(view)


@pages.post("/users")
async def add_user(view: CurrentView) -> Response:
    """Add a user."""
    try:
        given: NewUser = view.read_form(NewUser)
        password = await view.context.administer.add_user(
            view.principal, given.name, role=given.role
        )
    except RefusedError as error:
        return await _show(view, status=409, problem=str(error))
    return await _show(view, secret=password, secret_title=f"One-time password of {given.name}")


@pages.post("/users/{user_id}")
async def change_user(view: CurrentView, user_id: str) -> Response:
    """Change a role; lock or unlock."""
    try:
        given: ChangedUser = view.read_form(ChangedUser)
        await view.context.administer.change_user(
            view.principal, as_id(user_id), role=given.role, is_active=given.is_active
        )
    except RefusedError as error:
        return await _show(view, status=409, problem=str(error))
    return view.go("/users")


@pages.post("/users/{user_id}/password")
async def reset_password(view: CurrentView, user_id: str) -> Response:
    """Give a user a new one-time password."""
    try:
        user, password = await view.context.administer.reset_password(
            view.principal, as_id(user_id)
        )
    except RefusedError as error:
        return await _show(view, status=409, problem=str(error))
    return await _show(view, secret=password, secret_title=f"One-time password of {user.name}")


@pages.post("/tokens")
async def add_token(view: CurrentView) -> Response:
    """Make a token."""
    try:
        given: NewToken = view.read_form(NewToken)
        token = await _make_token(view, given)
    except RefusedError as error:
        return await _show(view, status=409, problem=str(error))
    return await _show(view, secret=token, secret_title=f"API token {given.label}")


@pages.post("/tokens/{token_id}/revoke")
async def revoke_token(view: CurrentView, token_id: str) -> Response:
    """Make a token void."""
    await view.context.administer.revoke_token(view.principal, as_id(token_id))
    return view.go("/users")


@api.get("/users")
async def list_users(view: CurrentView) -> list[User]:
    """Return every user."""
    return list(await view.context.users.list())


@api.post("/users", status_code=201)
async def create_user(view: CurrentView, given: NewUser) -> OneTimePassword:
    """Add a user; the password is good for the first log-on."""
    password = await view.context.administer.add_user(view.principal, given.name, role=given.role)
    return OneTimePassword(name=given.name, password=password)


@api.post("/users/{user_id}")
async def update_user(view: CurrentView, user_id: str, given: ChangedUser) -> User:
    """Change a role; lock or unlock."""
    place = as_id(user_id)
    user = await view.context.administer.change_user(
        view.principal, place, role=given.role, is_active=given.is_active
    )
    return await view.context.users.get(place) or user


@api.post("/users/{user_id}/password")
async def replace_password(view: CurrentView, user_id: str) -> OneTimePassword:
    """Give a user a new one-time password."""
    user, password = await view.context.administer.reset_password(view.principal, as_id(user_id))
    return OneTimePassword(name=user.name, password=password)


@api.get("/tokens")
async def list_tokens(view: CurrentView) -> list[ApiToken]:
    """Return every token, without what makes it work."""
    return list(await view.context.tokens.list())


@api.post("/tokens", status_code=201)
async def create_token(view: CurrentView, given: NewToken) -> MadeToken:
    """Make a token."""
    return MadeToken(token=await _make_token(view, given))


@api.post("/tokens/{token_id}/revoke", status_code=204)
async def void_token(view: CurrentView, token_id: str) -> None:
    """Make a token void."""
    await view.context.administer.revoke_token(view.principal, as_id(token_id))


async def _make_token(view: View, given: NewToken) -> str:
    return await view.context.administer.add_token(
        view.principal, as_id(given.user_id), label=given.label, role=given.role, days=given.days
    )


async def _show(view: View, status: int = 200, **shown: Any) -> Response:
    context = {"secret": None, "secret_title": "", "problem": None} | shown
    return view.page(
        "users.html",
        status=status,
        users=await view.context.users.list(),
        tokens=await view.context.tokens.list(),
        roles=list(Role),
        **context,
    )
