"""`penstock refresh`: copy tables from production to UAT, look at plans, approve, take back."""

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from contracts.commands import (
    OverlapPolicy,
    RefreshApproveRequested,
    RefreshRequested,
    RefreshUndoRequested,
)
from contracts.runs import RunStatus
from contracts.topics import (
    REFRESH_APPROVE_REQUESTED,
    REFRESH_REQUESTED,
    REFRESH_UNDO_REQUESTED,
    Topic,
)
from penstock import refreshes
from penstock.commands import refresh_view as view
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, CommandId, Patience, Reason, Wait, print_json
from penstock.commands.orders import ask, build, exit_unless_completed, follow
from penstock.console_api import ConsoleApi, asking
from penstock.settings import DatabaseAccess, read_access, service_environment

refresh_app = typer.Typer(
    help="Copy tables from production to UAT: planned, masked, verified, undoable.",
    invoke_without_command=True,
)


class Mode(StrEnum):
    """Which rows are read."""

    CONFIGURED = "configured"
    FULL_REPLACE = "full_replace"
    INCREMENTAL = "incremental"
    SMART_SYNC = "smart_sync"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    refresh_app.callback(
        epilog=examples(
            "refresh --table orders --wait",
            "refresh --table orders --dry-run --wait",
            "refresh plan orders --sql",
            "refresh approve 4f0c6a1e-…  --wait",
            "refresh undo 4f0c6a1e-… --wait",
            "refresh --config config-test.yaml --table Users --dry-run",
        )
    )(refresh)
    refresh_app.command(name="plan", epilog=examples("refresh plan", "refresh plan orders --sql"))(
        plan_command
    )
    refresh_app.command(name="approve", epilog=examples("refresh approve PLAN --wait"))(
        approve_command
    )
    refresh_app.command(name="undo", epilog=examples("refresh undo RUN --wait"))(undo_command)
    refresh_app.command(
        name="history", epilog=examples("refresh history --table orders --limit 5 --json")
    )(history_command)
    refresh_app.command(name="status", epilog=examples("refresh status", "refresh status --json"))(
        status_command
    )
    app.add_typer(refresh_app, name="refresh", rich_help_panel="Commands to the hub")


def refresh(
    context: typer.Context,
    *,
    table: Annotated[str, typer.Option(help="A table of the configuration, or all.")] = "all",
    mode: Annotated[Mode, typer.Option(help="Which rows are read.")] = Mode.CONFIGURED,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only; write nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Skip the approval, if you may; audited.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="Refresh once with this file, here, instead of asking the service."),
    ] = None,
    reason: Reason = None,
    command_id: CommandId = None,
    wait: Wait = False,
    timeout: Patience = 3600.0,
) -> None:
    """Ask for a refresh now.

    The service plans it; a plan that destroys something waits for `penstock refresh approve`.
    """
    if context.invoked_subcommand is not None:
        return
    if config is not None:
        raise typer.Exit(_run_once(config, table, dry_run=dry_run, force=force))
    command = build(
        RefreshRequested,
        table=table,
        mode=mode.value,
        dry_run=dry_run,
        force=force,
        reason=reason,
        command_id=command_id,
        overlap=OverlapPolicy.QUEUE,
    )
    if wait:
        _follow_and_show(command, timeout, with_sql=False, is_json=False)
    else:
        ask(REFRESH_REQUESTED, command, f"a refresh of {table}")


def _run_once(config: Path, table: str, *, dry_run: bool, force: bool) -> int:
    """Refresh in a process of its own, with the hub's ledger; return its exit code."""
    access = read_access(DatabaseAccess)
    command = [sys.executable, "-m", "refresher", "--config", str(config), "--table", table]
    command += ["--dry-run"] if dry_run else []
    command += ["--force"] if force else []
    environment = service_environment() | {"DATABASE_URL": access.database.url.get_secret_value()}
    return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603


def plan_command(
    table: Annotated[str, typer.Argument(help="A table, or all.")] = "all",
    *,
    mode: Annotated[Mode, typer.Option(help="Which rows are read.")] = Mode.CONFIGURED,
    show: Annotated[
        str | None, typer.Option(help="Show this plan, or this run's, instead of a new one.")
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="With every statement.")] = False,
    as_json: AsJson = False,
    timeout: Patience = 600.0,
) -> None:
    """Show what a refresh would do: the same object that applying it executes."""
    if show is not None:
        with asking() as api:
            _show_plan(api, show, with_sql=sql, is_json=as_json)
        return
    command = build(
        RefreshRequested,
        table=table,
        mode=mode.value,
        dry_run=True,
        reason="plan",
        overlap=OverlapPolicy.QUEUE,
    )
    _follow_and_show(command, timeout, with_sql=sql, is_json=as_json)


def _follow_and_show(
    command: RefreshRequested, timeout: float, *, with_sql: bool, is_json: bool
) -> None:
    what = f"refresh of {command.table}"
    with asking() as api:
        state = follow(api, REFRESH_REQUESTED, command, what=what, patience=timeout)
        if state.status is RunStatus.COMPLETED or command.dry_run:
            _show_plan(api, state.run_id, with_sql=with_sql, is_json=is_json)
    exit_unless_completed(state)


def _show_plan(api: ConsoleApi, name: str, *, with_sql: bool, is_json: bool) -> None:
    stored = refreshes.find_plan(api, name)
    if is_json:
        print_json({**stored.facts, "plan": stored.plan})
    else:
        view.show_plan(Console(highlight=False), stored, with_sql=with_sql)


def approve_command(
    plan: Annotated[str, typer.Argument(help="A plan that waits.")],
    *,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Patience = 3600.0,
) -> None:
    """Approve a plan: it is applied, unless the databases have changed since."""
    _act(REFRESH_APPROVE_REQUESTED, plan, reason=reason, patience=timeout if wait else None)


def undo_command(
    run: Annotated[str, typer.Argument(help="The run, or the plan, that is taken back.")],
    *,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Patience = 3600.0,
) -> None:
    """Put back the rows that a refresh has replaced."""
    _act(REFRESH_UNDO_REQUESTED, run, reason=reason, patience=timeout if wait else None)


def _act(topic: Topic, name: str, *, reason: str | None, patience: float | None) -> None:
    is_approval = topic is REFRESH_APPROVE_REQUESTED
    model = RefreshApproveRequested if is_approval else RefreshUndoRequested
    with asking() as api:
        stored = refreshes.find_plan(api, name)
        target = str(stored.facts["target"])
        command = build(model, plan=stored.plan_id, table=target, reason=reason)
        if patience is None:
            typer.echo(f"Asked for it (command {api.give(topic, command)}).")
            return
        what = f"{'application' if is_approval else 'undoing'} of {target}"
        state = follow(api, topic, command, what=what, patience=patience)
    exit_unless_completed(state)


def history_command(
    *,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what was refreshed, newest first: rows, phases, checksums."""
    with asking() as api:
        rows = refreshes.history(api, table, limit=limit)
    if as_json:
        print_json(rows)
    else:
        view.show_history(Console(highlight=False), rows)


def status_command(*, as_json: AsJson = False) -> None:
    """Show what waits for approval, each table's last refresh, and the databases."""
    with asking() as api:
        found = refreshes.overview(api)
    if as_json:
        print_json(found)
    else:
        view.show_overview(Console(highlight=False), found)
