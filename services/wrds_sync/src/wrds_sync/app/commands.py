"""What an operator asks of the mirror on this machine: `python -m wrds_sync <verb>`.

Everything is written as a JSON object a line: log events, notes of progress (`sync_progress`), and
at the end one `result`. `penstock wrds` shows it to people. Exit codes (S5-33): 0 done, 1 failed,
2 another writer holds the data set.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import orjson

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.errors import PenstockError, SettingsError
from chassis.logs import configure_logging, get_logger, register_secrets
from chassis.settings import load_settings, secret_values
from wrds_sync.app.reports import describe_lock, describe_manifest, describe_status
from wrds_sync.app.wiring import Mirror, build_mirror
from wrds_sync.domain.datasets import Dataset
from wrds_sync.errors import DatasetConfigError, LockAcquisitionError, ManifestError
from wrds_sync.handlers.targets import SyncMode, TargetResult
from wrds_sync.handlers.watching import back_up
from wrds_sync.ports import ProgressNote
from wrds_sync.settings.datasets import ALL
from wrds_sync.settings.environment import MirrorSettings

OK, FAILED, HELD = 0, 1, 2
SERVICE = "wrds_sync"

Verb = Callable[[Mirror, argparse.Namespace], Awaitable[int]]


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(MirrorSettings)
    except SettingsError as error:
        write({"event": "settings_rejected", "level": "error", "error": error.message})
        return FAILED
    configure_logging(SERVICE, level=settings.process.log_level)
    register_secrets(secret_values(settings))
    try:
        return asyncio.run(_run(settings, options))
    except LockAcquisitionError as error:
        get_logger().error("lock_held", error=error)
        return HELD
    except PenstockError as error:
        get_logger().error("command_failed", error=error)
        return FAILED


async def _run(settings: MirrorSettings, options: argparse.Namespace) -> int:
    database = await Database.open(settings.database, SERVICE) if settings.database else None
    try:
        mirror = build_mirror(settings, database=database, clock=SystemClock())
        try:
            return await VERBS[options.verb](mirror, options)
        finally:
            await mirror.close()
    finally:
        if database is not None:
            await database.close()


def write(line: dict[str, Any]) -> None:
    """Write one JSON line."""
    sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
    sys.stdout.flush()


async def _note(note: ProgressNote) -> None:
    write(
        {
            "event": "sync_progress",
            "dataset": note.dataset,
            "year": note.year,
            "rows": note.rows,
            "expected_rows": note.expected_rows,
            "done": note.done,
            "total": note.total,
        }
    )


async def _sync(mirror: Mirror, options: argparse.Namespace, mode: SyncMode) -> int:
    target = ALL if getattr(options, "all", False) else options.dataset
    result = await mirror.targets.run(
        target, mode, start_year=getattr(options, "start_year", None), on_progress=_note
    )
    write({"event": "result", "verb": options.verb, "datasets": _results(result)})
    return exit_code(result)


def exit_code(result: TargetResult) -> int:
    """Return 2 if a lock was all that stood in the way, 1 if anything failed, else 0."""
    errors = list(result.errors.values())
    if any(result.problems.values()):
        return FAILED
    if not errors:
        return OK
    return HELD if all(isinstance(item, LockAcquisitionError) for item in errors) else FAILED


def _results(result: TargetResult) -> list[dict[str, Any]]:
    synced = [
        describe_manifest(outcome.manifest)
        | {
            "is_ok": True,
            "partitions_copied": len(outcome.copied),
            "rows_copied": outcome.rows,
            "restated": outcome.report.model_dump(mode="json") if outcome.report else None,
        }
        for outcome in result.outcomes.values()
    ]
    verified = [
        {"dataset": name, "is_ok": not found, "problems": found}
        for name, found in result.problems.items()
    ]
    failed = [
        {"dataset": name, "is_ok": False, "error": error.message}
        for name, error in result.errors.items()
    ]
    return [*synced, *verified, *failed]


async def _full(mirror: Mirror, options: argparse.Namespace) -> int:
    return await _sync(mirror, options, "full")


async def _incremental(mirror: Mirror, options: argparse.Namespace) -> int:
    return await _sync(mirror, options, "incremental")


async def _verify(mirror: Mirror, options: argparse.Namespace) -> int:
    return await _sync(mirror, options, "verify")


async def _status(mirror: Mirror, options: argparse.Namespace) -> int:
    rows = [
        await describe_status(mirror, dataset) for dataset in mirror.catalog.select(options.dataset)
    ]
    usage = await mirror.storage.disk()
    write(
        {
            "event": "result",
            "verb": "status",
            "datasets": rows,
            "disk": {"used_share": round(usage.used_share, 4), "free_bytes": usage.free_bytes},
        }
    )
    return OK


async def _lock_status(mirror: Mirror, options: argparse.Namespace) -> int:
    locks = [describe_lock(state) for state in await mirror.locks.states()]
    write({"event": "result", "verb": options.verb, "locks": locks})
    return OK


async def _force_unlock(mirror: Mirror, options: argparse.Namespace) -> int:
    dataset = _one(mirror, options)
    if not options.yes:
        raise DatasetConfigError("force-unlock needs --yes: a living writer would lose its lock")
    token = await mirror.locks.force_unlock(dataset.name)
    get_logger().warning(
        "lock_forced",
        dataset=dataset.name,
        holder_pid=token.pid if token else None,
        holder_host=token.hostname if token else None,
    )
    write(
        {"event": "result", "verb": options.verb, "dataset": dataset.name, "was_held": bool(token)}
    )
    return OK


async def _manifest(mirror: Mirror, options: argparse.Namespace) -> int:
    dataset = _one(mirror, options)
    manifest = await mirror.storage.read_manifest(dataset.name, options.vintage)
    if manifest is None:
        raise ManifestError(f"{dataset.name}: no such vintage, or never synced")
    write(
        {
            "event": "result",
            "verb": options.verb,
            "manifest": manifest.model_dump(mode="json", by_alias=True),
            "vintages": await mirror.storage.vintages(dataset.name),
        }
    )
    return OK


async def _diff(mirror: Mirror, options: argparse.Namespace) -> int:
    dataset = _one(mirror, options)
    after = await mirror.storage.read_manifest(dataset.name, options.to)
    earlier = options.vintage or (after.previous if after else None)
    before = await mirror.storage.read_manifest(dataset.name, earlier) if earlier else None
    if before is None or after is None:
        raise ManifestError(f"{dataset.name}: there are no two vintages to compare")
    report = await mirror.restatements.compare(dataset, before, after)
    write({"event": "result", "verb": options.verb, "report": report.model_dump(mode="json")})
    return OK


async def _read_example(mirror: Mirror, options: argparse.Namespace) -> int:
    dataset = _one(mirror, options)
    manifest = await mirror.storage.read_manifest(dataset.name, options.vintage)
    if manifest is None:
        raise ManifestError(f"{dataset.name}: never synced")
    write(
        {
            "event": "result",
            "verb": options.verb,
            "dataset": dataset.name,
            "vintage": manifest.vintage,
            "files": [mirror.storage.reader_url(item.object) for item in manifest.partitions],
            "glob": mirror.storage.reader_url(f"{dataset.folder}/*.parquet"),
            "date_column": dataset.selection.date_column,
        }
    )
    return OK


async def _backup(mirror: Mirror, options: argparse.Namespace) -> int:
    if mirror.backup is None:
        raise DatasetConfigError("`WRDS_SYNC_BACKUP_REMOTE` is not set")
    code = await back_up(mirror.backup, SystemClock())
    write({"event": "result", "verb": options.verb, "exit_code": code})
    return OK if code == 0 else FAILED


async def _restore(mirror: Mirror, options: argparse.Namespace) -> int:
    if mirror.backup is None:
        raise DatasetConfigError("`WRDS_SYNC_BACKUP_REMOTE` is not set")
    code = await mirror.backup.restore(options.target)
    write({"event": "result", "verb": options.verb, "exit_code": code, "target": options.target})
    return OK if code == 0 else FAILED


def _one(mirror: Mirror, options: argparse.Namespace) -> Dataset:
    chosen = mirror.catalog.select(options.dataset)
    if len(chosen) != 1:
        names = ", ".join(item.name for item in chosen)
        raise DatasetConfigError(f"{options.dataset!r} is several data sets: {names}")
    return chosen[0]


VERBS: dict[str, Verb] = {
    "full-sync": _full,
    "incremental": _incremental,
    "verify": _verify,
    "status": _status,
    "lock-status": _lock_status,
    "force-unlock": _force_unlock,
    "manifest": _manifest,
    "diff": _diff,
    "read-example": _read_example,
    "backup": _backup,
    "restore": _restore,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # The library's own 2 would tell a script that a lock is held.
        self.exit(FAILED, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="wrds_sync", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    added = {name: verbs.add_parser(name) for name in VERBS}
    for name in ("full-sync", "force-unlock", "manifest", "diff", "read-example"):
        added[name].add_argument("--dataset", required=True)
    for name in ("status", "verify"):
        added[name].add_argument("--dataset", default=ALL)
    added["full-sync"].add_argument("--start-year", type=int)
    either = added["incremental"].add_mutually_exclusive_group(required=True)
    either.add_argument("--dataset")
    either.add_argument("--all", action="store_true")
    added["force-unlock"].add_argument("--yes", action="store_true")
    for name in ("manifest", "diff", "read-example"):
        added[name].add_argument("--vintage")
    added["diff"].add_argument("--to")
    added["restore"].add_argument("--target", type=Path, required=True)
    return parser
