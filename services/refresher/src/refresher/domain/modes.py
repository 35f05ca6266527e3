"""Which rows a refresh reads: the rules of the original, with the holes closed.

`> MAX(column)` of the target loses rows that were committed late, every update and the rest of a
day; and the target's maximum is the testers', not ours. So the start is our own watermark, less a
look-back, and the window is replaced, not appended to (docs/decisions/0018).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from refresher.domain.catalog import Extent
from refresher.domain.config import IncrementalType, Sweep, SyncMode, TableConfig
from refresher.domain.plan import Window
from refresher.domain.values import Value, compare

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRefresh:
    """What our own history remembers of a table's last refresh that was applied."""

    finished_at: datetime
    watermark: Value | None = None
    schema_hash: str = ""
    source_rows: int | None = None
    """Rows that the whole source had; None when only a window was read."""

    swept_at: datetime | None = None
    """When deleted rows were last looked for."""

    rows_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChoice:
    """Which mode is used, and why."""

    mode: SyncMode
    """Never `smart_sync`: that is a question, not an answer."""

    reason: str
    window: Window | None = None
    watermark: Value | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a choice depends on."""

    source: Extent
    target: Extent
    last: LastRefresh | None
    schema_hash: str
    now: datetime


def choose_mode(config: TableConfig, asked: SyncMode, situation: Situation) -> ModeChoice:
    """Return the mode and its window."""
    if asked is SyncMode.FULL_REPLACE:
        return _full(config, situation, "configured" if config.sync_mode is asked else "asked for")
    if asked is SyncMode.SMART_SYNC and (reason := _reason_for_full(config, situation)):
        return _full(config, situation, reason)
    if _is_sweep_due(config, situation):
        return _full(config, situation, "the comparison that finds deleted rows is due")
    return _incremental(config, situation)


def _full(config: TableConfig, situation: Situation, reason: str) -> ModeChoice:
    watermark = situation.source.high if config.incremental_column else None
    return ModeChoice(mode=SyncMode.FULL_REPLACE, reason=reason, watermark=watermark)


def _reason_for_full(config: TableConfig, situation: Situation) -> str | None:
    """Return why `smart_sync` reads everything; never because something failed (C-28)."""
    last = situation.last
    if situation.target.rows == 0:
        return "the target is empty" if config.fallback_to_full else None
    if last is None or last.watermark is None:
        return "there is no watermark of an earlier refresh" if config.fallback_to_full else None
    if last.schema_hash and last.schema_hash != situation.schema_hash:
        return "the columns have changed since the last refresh"
    gap = situation.now - last.finished_at
    if gap > timedelta(days=config.max_gap_days):
        return f"the last refresh was {gap.days} days ago"
    return None


def _is_sweep_due(config: TableConfig, situation: Situation) -> bool:
    match config.sweep_deletes:
        case Sweep.NEVER:
            return False
        case Sweep.ALWAYS:
            return True
        case Sweep.WEEKLY:
            swept = situation.last.swept_at if situation.last else None
            return swept is None or situation.now - swept >= _WEEK


def _incremental(config: TableConfig, situation: Situation) -> ModeChoice:
    column, kind = config.incremental_column, config.incremental_type
    if column is None or kind is None:
        return _full(config, situation, "no incremental column is configured")
    source = situation.source
    if source.low is None or source.high is None:
        return ModeChoice(
            mode=SyncMode.INCREMENTAL,
            reason="the source is empty",
            watermark=situation.last.watermark if situation.last else None,
            notes=("nothing is read",),
        )
    start, reason = _start(situation)
    low = source.low if start is None else _look_back(config, kind, start)
    return ModeChoice(
        mode=SyncMode.INCREMENTAL,
        reason=reason,
        window=Window(
            column=column,
            low=low,
            # A row's time of change may move beyond any bound while we read; its number cannot.
            high=None if kind is IncrementalType.DATETIME else source.high,
            deletes_missing=kind is not IncrementalType.DATETIME and config.truncate_target,
        ),
        watermark=source.high,
        notes=tuple(_notes(config, kind, situation)),
    )


def _start(situation: Situation) -> tuple[Value | None, str]:
    last, target, source = situation.last, situation.target, situation.source
    if target.rows == 0:
        return None, "the target is empty: everything is read"
    if last is not None and last.watermark is not None:
        return last.watermark, f"goes on from the watermark {last.watermark}"
    if target.high is None or source.high is None:
        return None, "the target has no value to go on from: everything is read"
    if compare(target.high, source.high) <= 0:
        return target.high, f"no watermark yet: goes on from the target's {target.high}"
    return source.high, (
        f"no watermark yet, and the target's {target.high} is beyond the source's {source.high}: "
        "goes on from the source's"
    )


def _look_back(config: TableConfig, kind: IncrementalType, start: Value) -> Value:
    match kind:
        case IncrementalType.IDENTITY:
            return start.minus_rows(config.identity_lookback)
        case IncrementalType.DATE:
            return start.minus(timedelta(days=config.date_buffer_days))
        case IncrementalType.DATETIME:
            return start.minus(
                timedelta(days=config.date_buffer_days, minutes=config.buffer_minutes)
            )


def _notes(config: TableConfig, kind: IncrementalType, situation: Situation) -> list[str]:
    notes = []
    last, target = situation.last, situation.target
    if situation.source.nulls:
        notes.append(
            f"{situation.source.nulls} rows of the source have no {config.incremental_column}: "
            "an incremental refresh does not see them"
        )
    if (
        last is not None
        and last.watermark is not None
        and target.high is not None
        and target.high.is_beyond(last.watermark)
    ):
        notes.append(
            f"the target has values up to {target.high}, beyond the last refresh "
            f"({last.watermark}): rows of the testers; policy `{config.local_rows.value}`"
        )
    if kind is IncrementalType.DATETIME and config.sweep_deletes is Sweep.NEVER:
        notes.append("rows that are deleted in production stay; `sweep_deletes` finds them")
    if kind is IncrementalType.IDENTITY:
        notes.append(
            f"updates of rows further back than {config.identity_lookback} numbers are not seen"
        )
    return notes
