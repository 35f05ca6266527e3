"""Makes a plan out of two catalogs, the configuration and our own history; touches nothing.

Everything that stops a refresh is found here, before a row is read: an unproven target, a column
that nobody classified, types that do not fit, a limit that belongs to tests.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from refresher.domain.catalog import TableRef, catalog_hash
from refresher.domain.config import RefreshConfig, TableConfig
from refresher.domain.dialect import Dialect
from refresher.domain.drift import Stop
from refresher.domain.graph import components
from refresher.domain.plan import ComponentPlan, Plan, Verdict
from refresher.domain.table_planner import (
    Findings,
    Notes,
    Pair,
    Planned,
    Request,
    TablePlanner,
)

__all__ = ["HELD", "Findings", "Request", "make_plan", "refs_of"]

HELD = "held"
"""The fact of a plan that names the tables which were left out because of their schema."""


def refs_of(config: RefreshConfig, keys: Sequence[str]) -> dict[str, tuple[TableRef, TableRef]]:
    """Return the source's and the target's name of every table, by key."""
    source, target = config.databases.source, config.databases.target
    return {
        table.name: (
            TableRef(table.table_schema or source.schema_name, table.table_name),
            TableRef(table.table_schema or target.schema_name, table.table_name),
        )
        for table in _tables(config, keys)
    }


def _tables(config: RefreshConfig, keys: Sequence[str]) -> list[TableConfig]:
    return [table for table in config.tables if table.name in keys]


def make_plan(
    config: RefreshConfig,
    dialect: Dialect,
    *,
    request: Request,
    findings: Findings,
    plan_id: str,
    now: datetime,
) -> Plan:
    """Return the plan; whatever forbids it stands in its refusals."""
    notes = Notes(refusals=[refusal.sentence for refusal in findings.refusals])
    _check_environment(config, request, notes)
    pairs = _pairs(config, request, findings, notes)
    held = _held(request, pairs, notes)
    pairs = {key: pair for key, pair in pairs.items() if key not in held}
    refreshed = [pair.target for pair in pairs.values()]
    planner = TablePlanner(
        config, dialect, request=request, findings=findings, plan_id=plan_id, now=now
    )
    planned: dict[str, Planned] = {}
    for table in _tables(config, request.keys):
        if table.name in pairs:
            made = planner.make(table, pairs[table.name], refreshed=refreshed, notes=notes)
            if made is not None:
                planned[table.name] = made
    settings = config.settings
    return Plan(
        plan_id=plan_id,
        engine=config.databases.target.kind,
        source=findings.source_fingerprint,
        target=findings.target_fingerprint,
        components=() if notes.refusals else _components(dialect, planned),
        verdict=_verdict(config, request, notes),
        destructive=(*notes.destructive, *notes.breaking),
        refusals=tuple(notes.refusals),
        warnings=(*held.values(), *_outside(pairs)),
        catalog_hash=catalog_hash(findings.source, findings.target),
        lock_timeout_ms=settings.lock_timeout_ms,
        swap_attempts=settings.swap_attempts,
        rows_per_second=settings.rows_per_second,
        facts={HELD: ", ".join(held)} if held else {},
    )


def _held(request: Request, pairs: Mapping[str, Pair], notes: Notes) -> dict[str, str]:
    """Return the tables that are left out because of their schema, and why; the rest goes on.

    Where nothing would be left, the plan itself says what stops it.
    """
    stopped = {
        key: stop
        for key, stop in request.stopped.items()
        if key in pairs and not (request.is_forced and _yields(stop))
    }
    if len(stopped) < len(pairs):
        return {
            key: f"{key} is left out, and the rest goes on: {stop.sentence}"
            for key, stop in stopped.items()
        }
    notes.refusals.extend(
        f"{key}: {stop.sentence}"
        for key, stop in stopped.items()
        if stop.is_rejected or stop.has_conflict
    )
    return {}


def _yields(stop: Stop) -> bool:
    return not (stop.is_rejected or stop.has_conflict)


def _check_environment(config: RefreshConfig, request: Request, notes: Notes) -> None:
    limited = [table.name for table in _tables(config, request.keys) if table.row_limit]
    if (request.row_limit is not None or limited) and not request.is_test:
        notes.refusals.append(
            "`row_limit` is for tests only: mark the environment with "
            "`REFRESHER_ENVIRONMENT=test`, or leave it out"
        )


def _pairs(
    config: RefreshConfig, request: Request, findings: Findings, notes: Notes
) -> dict[str, Pair]:
    pairs = {}
    for key, (source_ref, target_ref) in refs_of(config, request.keys).items():
        source = findings.source.tables.get(source_ref)
        target = findings.target.tables.get(target_ref)
        if source is None:
            notes.refusals.append(f"{key}: the source has no table {source_ref} that we may read")
        if target is None:
            notes.refusals.append(f"{key}: the target has no table {target_ref}; create it first")
        if source is not None and target is not None:
            pairs[key] = Pair(source=source, target=target)
    return pairs


def _verdict(config: RefreshConfig, request: Request, notes: Notes) -> Verdict:
    if notes.refusals:
        return Verdict.REFUSED
    asks = notes.destructive and config.approval.destructive == "ask"
    if (asks or notes.breaking) and not request.is_forced:
        return Verdict.NEEDS_APPROVAL
    return Verdict.READY


def _components(dialect: Dialect, planned: Mapping[str, Planned]) -> tuple[ComponentPlan, ...]:
    keys = {item.draft.target.ref: key for key, item in planned.items()}
    edges = [
        (key, keys[reference.references])
        for key, item in planned.items()
        for reference in item.draft.target.references
        if reference.references in keys
    ]
    return tuple(_component(dialect, order, planned) for order in components(planned, edges))


def _component(
    dialect: Dialect, order: tuple[tuple[str, ...], ...], planned: Mapping[str, Planned]
) -> ComponentPlan:
    keys = [key for group in order for key in group]
    drafts = [planned[key].draft for key in keys]
    plans = [planned[key].plan for key in keys]
    return ComponentPlan(
        name=keys[0],
        tables=tuple(plans),
        order=order,
        swap=dialect.swap_statements(drafts, plans, order),
        after=dialect.after_statements(drafts, plans),
        undo=dialect.undo_statements(drafts, plans, order),
    )


def _outside(pairs: Mapping[str, Pair]) -> list[str]:
    """Return a warning for every reference to or from a table that is not refreshed with it."""
    inside = {pair.target.ref for pair in pairs.values()}
    inside |= {leaf.ref for pair in pairs.values() for leaf in pair.target.partitions}
    warnings: list[str] = []
    for key, pair in pairs.items():
        warnings.extend(
            f"{key} refers to {ref}, which is not refreshed: rows that it lacks stop the swap"
            for ref in _missing((item.references for item in pair.target.references), inside)
        )
        warnings.extend(
            f"{ref} refers to {key} and is not refreshed: rows it still refers to stop the swap"
            for ref in _missing((item.table for item in pair.target.referenced_by), inside)
        )
    return warnings


def _missing(refs: Iterable[TableRef], inside: set[TableRef]) -> list[TableRef]:
    return sorted(set(refs) - inside)
