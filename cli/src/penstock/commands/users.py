"""`penstock users`: who may log on to the console, and what they may do there."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from penstock.commands.dlq_view import printable
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, print_json
from penstock.console_api import ConsoleApi, ConsoleRefusalError, asking

users_app = typer.Typer(
    help="Who may log on to the console; for administrators.\n\n"
    "`PENSTOCK_URL` says where the console is, `PENSTOCK_TOKEN` who asks.",
    no_args_is_help=True,
)


class RoleName(StrEnum):
    """What somebody may do; each includes those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(help="The name to log on with.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    users_app.command(name="list", epilog=examples("users list", "users list --json"))(list_command)
    users_app.command(name="add", epilog=examples("users add mia --role operator"))(add_command)
    users_app.command(name="role", epilog=examples("users role mia approver"))(role_command)
    users_app.command(name="password", epilog=examples("users password mia"))(password_command)
    users_app.command(name="lock", epilog=examples("users lock mia", "users lock mia --undo"))(
        lock_command
    )
    app.add_typer(users_app, name="users", rich_help_panel="Who may do what")


def list_command(*, as_json: AsJson = False) -> None:
    """List everybody who may log on."""
    with asking() as api:
        found = api.get("/users")
    if as_json:
        print_json(found)
    else:
        Console(highlight=False, markup=False).print(_table(found))


def add_command(
    name: Name,
    *,
    role: Annotated[RoleName, typer.Option(help="What they may do.")] = RoleName.VIEWER,
    as_json: AsJson = False,
) -> None:
    """Add a user; prints a one-time password, once."""
    with asking() as api:
        made = api.post("/users", {"name": name, "role": role.value})
    _tell_password(made, as_json=as_json)


def role_command(
    name: Name, role: Annotated[RoleName, typer.Argument(help="What they may do from now on.")]
) -> None:
    """Give a user another role; it counts at once."""
    with asking() as api:
        _change(api, name, role=role.value)
    typer.echo(f"{name} is {role.value} now.")


def password_command(name: Name, *, as_json: AsJson = False) -> None:
    """Give a user a new one-time password, printed once; their sessions end."""
    with asking() as api:
        made = api.post(f"/users/{find_user(api, name)['user_id']}/password")
    _tell_password(made, as_json=as_json)


def lock_command(
    name: Name,
    *,
    undo: Annotated[
        bool, typer.Option("--undo", help="Let them log on again; their tokens work again.")
    ] = False,
) -> None:
    """Lock a user; their sessions end and their tokens stop working at once."""
    with asking() as api:
        _change(api, name, is_active=undo)
    typer.echo(f"{name} may log on again." if undo else f"{name} is locked.")


def find_user(api: ConsoleApi, name: str) -> dict[str, Any]:
    """Return the user of a name.

    Raises:
        ConsoleRefusalError: there is none.
    """
    found = [user for user in api.get("/users") if user["name"] == name.strip().lower()]
    if not found:
        raise ConsoleRefusalError(f"there is no user `{name}`; `penstock users list` names them")
    return dict(found[0])


def short_time(text: str | None) -> str:
    """Return a moment of the API for a table."""
    return text[:19].replace("T", " ") if text else "-"


def _change(api: ConsoleApi, name: str, **changes: object) -> None:
    user = find_user(api, name)
    kept = {"role": user["role"], "is_active": user["is_active"]}
    api.post(f"/users/{user['user_id']}", kept | changes)


def _tell_password(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    # The password alone goes to standard output, for a pipe.
    typer.echo(f"{made['name']} logs on once with this, and then chooses a password:", err=True)
    typer.echo(made["password"])


def _table(users: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "ROLE", "KEPT", "STATE", "LAST LOG-ON (UTC)"):
        table.add_column(heading, no_wrap=heading != "NAME", overflow="fold")
    for user in users:
        state = "active" if user["is_active"] else "locked"
        if user["is_active"] and user["must_change_password"]:
            state = "must choose a password"
        table.add_row(
            printable(user["name"]),
            user["role"],
            user["origin"],
            state,
            short_time(user["last_login_at"]),
        )
    return table
