"""A plan in words, for people at a terminal."""

from refresher.domain.plan import Plan, TablePlan


def describe(plan: Plan | None, plan_status: str | None, status: str, message: str | None) -> str:
    """Return what became of a run, with its plan."""
    lines = [f"run {status}{f': {message}' if message else ''}"]
    if plan is not None:
        lines.append(f"plan {plan.plan_id}: {plan_status}")
        lines += [f"  refused: {text}" for text in plan.refusals]
        lines += [f"  needs a look: {text}" for text in plan.destructive]
        lines += [f"  note: {text}" for text in plan.warnings]
        for table in plan.tables:
            lines += _table(table)
    return "\n".join(lines) + "\n"


def _table(table: TablePlan) -> list[str]:
    estimate = table.estimate
    seconds = f", about {estimate.seconds:.0f} s" if estimate.seconds is not None else ""
    size = f"{estimate.rows} rows, {estimate.bytes / 1e6:.1f} MB{seconds}"
    lines = [
        f"  {table.key}: {table.mode.value} ({table.mode_reason})",
        f"    swap: {table.swap.value} ({table.swap_reason})",
        f"    about {size}; the target has {table.target_rows}",
    ]
    if table.window is not None:
        window = table.window
        lines.append(
            f"    rows with {window.column} from {window.low} to {window.high or 'the end'}"
        )
    if table.masks:
        shown = ", ".join(f"{mask.column} ({mask.mask_class})" for mask in table.masks)
        lines.append(f"    masked: {shown}")
    lines += [f"    not carried: {name} ({why})" for name, why in table.not_carried]
    lines += [f"    schema: {text}" for text in table.drift]
    lines += [f"    note: {text}" for text in table.notes]
    return lines
