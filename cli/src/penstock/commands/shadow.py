"""`penstock transform --shadow | show | promote | discard`: silver computed anew, then decided."""

from typing import Annotated, Any

import typer

from chassis.errors import PermanentError
from contracts.commands import OverlapPolicy, TransformRequested
from contracts.errors import ErrorCategory
from contracts.topics import TRANSFORM_REQUESTED
from penstock.commands import shadow_view as view
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, Reason, print_json
from penstock.commands.orders import build, exit_unless_completed, follow
from penstock.console_api import ConsoleApi, asking, path_part
from penstock.silver import find_entity

_Run = Annotated[str, typer.Argument(help="The run that made the shadow.")]
_Timeout = Annotated[
    float, typer.Option(min=1, metavar="SECONDS", help="How long to follow the run.")
]


class NoShadowError(PermanentError):
    """The run has made no shadow."""

    default_category = ErrorCategory.CONTENT_VALIDATION


def register(app: typer.Typer) -> None:
    """Add the commands about a shadow that has been made."""
    app.command(name="show", epilog=examples("transform show RUN", "transform show RUN --json"))(
        show_command
    )
    app.command(name="promote", epilog=examples("transform promote RUN --reason 'as agreed'"))(
        promote_command
    )
    app.command(name="discard", epilog=examples("transform discard RUN"))(discard_command)


def make(api: ConsoleApi, command: TransformRequested, *, patience: float, as_json: bool) -> None:
    """Have a shadow made, and tell how silver differs; exit code 1 unless it was made."""
    what = f"shadow of {command.entity_type}"
    state = follow(api, TRANSFORM_REQUESTED, command, what=what, patience=patience)
    diff = _read(api, state.run_id)["checkpoint"] or {}
    if "shadow" not in diff:
        exit_unless_completed(state)
    _tell(api, state.run_id, as_json=as_json)


def show_command(run: _Run, *, as_json: AsJson = False) -> None:
    """Show how silver differed from a shadow when that was made."""
    with asking() as api:
        _tell(api, run, as_json=as_json)


def promote_command(run: _Run, *, reason: Reason = None, timeout: _Timeout = 3600.0) -> None:
    """Make a shadow the truth: all of it in one transaction, unless bronze or rules moved on."""
    _decide("promote", run, reason=reason, patience=timeout)


def discard_command(run: _Run, *, reason: Reason = None, timeout: _Timeout = 3600.0) -> None:
    """Forget a shadow."""
    _decide("discard", run, reason=reason, patience=timeout)


def _decide(action: str, run: str, *, reason: str | None, patience: float) -> None:
    with asking() as api:
        command = build(
            TransformRequested,
            entity_type=_read(api, run)["line"]["target"],
            action=action,
            shadow_run=run,
            reason=reason,
            overlap=OverlapPolicy.QUEUE,
        )
        what = f"{'promotion' if action == 'promote' else 'end'} of the shadow"
        state = follow(api, TRANSFORM_REQUESTED, command, what=what, patience=patience)
    if action == "promote" and state.status.value.startswith("completed"):
        counts = state.counts
        typer.echo(
            f"Upserted {counts.new + counts.changed}, retired {counts.deleted}, "
            f"rejected {counts.failed}."
        )
        return
    exit_unless_completed(state)


def _tell(api: ConsoleApi, run: str, *, as_json: bool) -> None:
    diff = (_read(api, run)["checkpoint"] or {}).get("shadow")
    if diff is None:
        raise NoShadowError(f"run {run} has made no shadow")
    if as_json:
        print_json({"run_id": run, **diff})
        return
    for line in view.describe(find_entity(api, diff["entity_type"]).table, diff):
        typer.echo(line)
    typer.echo(f"penstock transform promote {run}\npenstock transform discard {run}")


def _read(api: ConsoleApi, run: str) -> Any:
    return api.get(f"/runs/{path_part(run)}")
