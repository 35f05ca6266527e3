"""`penstock tokens`: what programs show to the console's API instead of a password."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from penstock.commands.dlq_view import printable
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, print_json
from penstock.commands.users import RoleName, find_user, short_time
from penstock.console_api import ConsoleApi, ConsoleRefusalError, asking

_SHORT_ID = 8

tokens_app = typer.Typer(
    help="Tokens for the console's API; for administrators.\n\n"
    "`PENSTOCK_URL` says where the console is, `PENSTOCK_TOKEN` who asks.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    tokens_app.command(name="list", epilog=examples("tokens list", "tokens list --json"))(
        list_command
    )
    tokens_app.command(
        name="create", epilog=examples("tokens create mia nightly --role operator --days 30")
    )(create_command)
    tokens_app.command(
        name="revoke", epilog=examples("tokens revoke mia/nightly", "tokens revoke 1f0c9a52")
    )(revoke_command)
    app.add_typer(tokens_app, name="tokens", rich_help_panel="Who may do what")


def list_command(*, as_json: AsJson = False) -> None:
    """List every token, without what makes it work."""
    with asking() as api:
        found = api.get("/tokens")
    if as_json:
        print_json(found)
    else:
        Console(highlight=False, markup=False).print(_table(found))


def create_command(
    owner: Annotated[str, typer.Argument(help="The user in whose name it speaks.")],
    label: Annotated[str, typer.Argument(help="What it is for; stands in the audit trail.")],
    *,
    role: Annotated[
        RoleName, typer.Option(help="What it may do; at most what its owner may.")
    ] = RoleName.VIEWER,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it is good.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Make a token; it is printed once."""
    with asking() as api:
        user = find_user(api, owner)
        wanted = {"user_id": user["user_id"], "label": label, "role": role.value, "days": days}
        made = api.post("/tokens", wanted)
    if as_json:
        print_json(made)
        return
    # The token alone goes to standard output, for `export PENSTOCK_TOKEN="$(…)"`.
    typer.echo(f"Token {user['name']}/{label}, {role.value}, good for {days} days:", err=True)
    typer.echo(made["token"])


def revoke_command(
    token: Annotated[str, typer.Argument(help="OWNER/LABEL, or an id or the beginning of one.")],
) -> None:
    """Make a token void at once."""
    with asking() as api:
        found = _find(api, token)
        api.post(f"/tokens/{found['token_id']}/revoke")
    typer.echo(f"Token {_name(found)} is void.")


def _find(api: ConsoleApi, text: str) -> dict[str, Any]:
    good = [item for item in api.get("/tokens") if _state(item) == "good"]
    found = [
        item for item in good if text and (_name(item) == text or item["token_id"].startswith(text))
    ]
    if len(found) != 1:
        why = "no token that is good" if not found else f"{len(found)} tokens, give the id of one"
        raise ConsoleRefusalError(f"`{text}` is {why}; `penstock tokens list` shows them")
    return dict(found[0])


def _name(token: dict[str, Any]) -> str:
    return f"{token['owner']}/{token['label']}"


def _state(token: dict[str, Any]) -> str:
    if token["revoked_at"]:
        return "revoked"
    return "expired" if token["is_expired"] else "good"


def _table(tokens: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("TOKEN", "OWNER/LABEL", "ROLE", "STATE", "EXPIRES (UTC)", "LAST USED (UTC)"):
        table.add_column(heading, no_wrap=heading != "OWNER/LABEL", overflow="fold")
    for token in tokens:
        table.add_row(
            token["token_id"][:_SHORT_ID],
            printable(_name(token)),
            token["role"],
            _state(token),
            short_time(token["expires_at"]),
            short_time(token["last_used_at"]),
        )
    return table
