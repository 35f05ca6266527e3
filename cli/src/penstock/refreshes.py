"""Plans and refreshes as the console tells them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory
from penstock.console_api import ConsoleApi, path_part

_MOMENTS = ("_at", "_until")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan as the refresher keeps it."""

    plan_id: str
    run_id: str
    status: str
    plan: dict[str, Any]
    facts: dict[str, Any]
    """Requester, reason and times."""


def find_plan(api: ConsoleApi, name: str) -> StoredPlan:
    """Return a plan by its id or by its run's.

    Raises:
        PermanentError: there is none.
    """
    found = api.find(f"/plans/{path_part(name)}")
    if found is None:
        raise PermanentError(
            f"there is no plan or run {name}; `penstock refresh status` lists those that wait",
            category=ErrorCategory.CONFIG_VALIDATION,
        )
    facts = _row(found["line"])
    return StoredPlan(
        plan_id=facts["plan_id"],
        run_id=facts["run_id"],
        status=facts["status"],
        plan=found["plan"],
        facts=facts,
    )


def history(api: ConsoleApi, table: str | None, *, limit: int) -> list[dict[str, Any]]:
    """Return the latest refreshes, table by table, newest first."""
    return [_row(line) for line in api.get("/refreshes", table=table, limit=limit)]


def overview(api: ConsoleApi) -> dict[str, list[dict[str, Any]]]:
    """Return what waits, what each table's last refresh was, and which databases were seen."""
    return {
        "waiting": [_row(line) | {"why": line["destructive"]} for line in api.get("/plans")],
        "tables": [_row(line) for line in api.get("/refreshes/latest")],
        "databases": [_row(line) for line in api.get("/refreshes/databases")],
    }


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if value and name.endswith(_MOMENTS) else value
        for name, value in line.items()
    }
