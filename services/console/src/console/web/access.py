"""The one table of routes: what may be asked for, and who may ask.

What does not stand here does not exist: the guard looks a request up in this table before anything
else sees it. Keep it sorted by page; a path is `METHOD /path`, the value the least role.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.routing import compile_path

from console.domain.roles import Role

PUBLIC = None
"""Anybody who reaches the port; only what is needed to log on."""

ANYBODY = Role.VIEWER
"""Anybody who is logged on."""

ACCESS: Mapping[str, Role | None] = {
    # --- logging on ---
    "GET /login": PUBLIC,
    "POST /login": PUBLIC,
    "GET /login/oidc": PUBLIC,
    "GET /login/oidc/callback": PUBLIC,
    "POST /logout": ANYBODY,
    "GET /password": ANYBODY,
    "POST /password": ANYBODY,
    # --- what every page needs ---
    "GET /static/{name}": PUBLIC,
    "GET /openapi.json": ANYBODY,
    "GET /events": ANYBODY,
    # --- the hub as a whole ---
    "GET /": Role.VIEWER,
    "GET /services": Role.VIEWER,
    "GET /api/v1/overview": Role.VIEWER,
    "GET /api/v1/services": Role.VIEWER,
    "GET /api/v1/probes": Role.VIEWER,
    "GET /api/v1/me": ANYBODY,
    # --- runs ---
    "GET /runs": Role.VIEWER,
    "GET /runs/{run_id}": Role.VIEWER,
    "POST /runs/{run_id}/cancel": Role.OPERATOR,
    "POST /runs/{run_id}/retry": Role.OPERATOR,
    "GET /commands/{command_id}": Role.VIEWER,
    "GET /api/v1/runs": Role.VIEWER,
    "GET /api/v1/runs/{run_id}": Role.VIEWER,
    "POST /api/v1/runs/{run_id}/cancel": Role.OPERATOR,
    "POST /api/v1/runs/{run_id}/retry": Role.OPERATOR,
    "GET /api/v1/commands/{command_id}": Role.VIEWER,
    "GET /api/v1/run-log": Role.VIEWER,
    # --- every command, for programs; what one says may need more (`domain/needed_roles.py`) ---
    "POST /api/v1/commands/scan.requested": Role.OPERATOR,
    "POST /api/v1/commands/flow.requested": Role.OPERATOR,
    "POST /api/v1/commands/transform.requested": Role.OPERATOR,
    "POST /api/v1/commands/refresh.requested": Role.OPERATOR,
    "POST /api/v1/commands/refresh.preview-requested": Role.OPERATOR,
    "POST /api/v1/commands/refresh.approve-requested": Role.APPROVER,
    "POST /api/v1/commands/refresh.undo-requested": Role.OPERATOR,
    "POST /api/v1/commands/wrds-sync.requested": Role.OPERATOR,
    "POST /api/v1/commands/replay.requested": Role.OPERATOR,
    "POST /api/v1/commands/schema.decision-requested": Role.APPROVER,
    "POST /api/v1/commands/run.cancel-requested": Role.OPERATOR,
    # --- who did what, and who may ---
    "GET /audit": Role.OPERATOR,
    "GET /api/v1/audit": Role.OPERATOR,
    "GET /users": Role.ADMIN,
    "POST /users": Role.ADMIN,
    "POST /users/{user_id}": Role.ADMIN,
    "POST /users/{user_id}/password": Role.ADMIN,
    "POST /tokens": Role.ADMIN,
    "POST /tokens/{token_id}/revoke": Role.ADMIN,
    "GET /api/v1/users": Role.ADMIN,
    "POST /api/v1/users": Role.ADMIN,
    "POST /api/v1/users/{user_id}": Role.ADMIN,
    "POST /api/v1/users/{user_id}/password": Role.ADMIN,
    "GET /api/v1/tokens": Role.ADMIN,
    "POST /api/v1/tokens": Role.ADMIN,
    "POST /api/v1/tokens/{token_id}/revoke": Role.ADMIN,
    # --- sources ---
    "GET /sources": Role.VIEWER,
    "GET /sources/{name}": Role.VIEWER,
    "POST /sources/{name}/scan": Role.OPERATOR,
    "POST /sources/{name}/release": Role.APPROVER,
    "GET /api/v1/sources": Role.VIEWER,
    "GET /api/v1/sources/{name}": Role.VIEWER,
    "GET /api/v1/sources/{name}/held": Role.VIEWER,
    "POST /api/v1/sources/{name}/scan": Role.OPERATOR,
    "POST /api/v1/sources/{name}/release": Role.APPROVER,
    # --- tables ---
    "GET /tables": Role.VIEWER,
    "GET /tables/{key}": Role.VIEWER,
    "POST /tables/{key}/refresh": Role.OPERATOR,
    "POST /tables/{key}/count": Role.OPERATOR,
    "POST /tables/{key}/preview": Role.OPERATOR,
    "GET /tables/{key}/previews/{command_id}": Role.OPERATOR,
    "GET /tables/{key}/plans/{plan_id}": Role.VIEWER,
    "POST /tables/{key}/plans/{plan_id}/approve": Role.APPROVER,
    "POST /tables/{key}/plans/{plan_id}/undo": Role.OPERATOR,
    "GET /api/v1/tables": Role.VIEWER,
    "GET /api/v1/tables/{key}": Role.VIEWER,
    "POST /api/v1/tables/{key}/refresh": Role.OPERATOR,
    "POST /api/v1/tables/{key}/count": Role.OPERATOR,
    "POST /api/v1/tables/{key}/preview": Role.OPERATOR,
    "GET /api/v1/tables/{key}/previews/{command_id}": Role.OPERATOR,
    "GET /api/v1/tables/{key}/plans/{plan_id}": Role.VIEWER,
    "GET /api/v1/plans": Role.VIEWER,
    "GET /api/v1/plans/{plan_id}": Role.VIEWER,
    "GET /api/v1/refreshes": Role.VIEWER,
    "GET /api/v1/refreshes/latest": Role.VIEWER,
    "GET /api/v1/refreshes/databases": Role.VIEWER,
    "POST /api/v1/tables/{key}/plans/{plan_id}/approve": Role.APPROVER,
    "POST /api/v1/tables/{key}/plans/{plan_id}/undo": Role.OPERATOR,
    # --- data sets ---
    "GET /datasets": Role.VIEWER,
    "GET /datasets/{dataset}": Role.VIEWER,
    "POST /datasets/{dataset}/sync": Role.OPERATOR,
    "GET /api/v1/datasets": Role.VIEWER,
    "GET /api/v1/datasets/{dataset}": Role.VIEWER,
    "GET /api/v1/datasets/{dataset}/vintages": Role.VIEWER,
    "GET /api/v1/volumes": Role.VIEWER,
    "POST /api/v1/datasets/{dataset}/sync": Role.OPERATOR,
    # --- entities ---
    "GET /entities": Role.VIEWER,
    "GET /entities/{table}": Role.VIEWER,
    "GET /entities/{table}/record": Role.VIEWER,
    "GET /entities/{table}/bronze": Role.OPERATOR,
    "GET /api/v1/entities": Role.VIEWER,
    "GET /api/v1/entities/{table}": Role.VIEWER,
    "GET /api/v1/entities/{table}/record": Role.VIEWER,
    "GET /api/v1/entities/{table}/history": Role.VIEWER,
    "GET /api/v1/entities/{table}/bronze": Role.OPERATOR,
    # --- dead letters ---
    "GET /dead-letters": Role.VIEWER,
    "GET /dead-letters/{letter_id}": Role.VIEWER,
    "GET /dead-letters/decisions/new": Role.OPERATOR,
    "POST /dead-letters/decisions/new": Role.OPERATOR,
    "GET /api/v1/dead-letters": Role.VIEWER,
    "GET /api/v1/letter-groups": Role.VIEWER,
    "GET /api/v1/dead-letters/{letter_id}": Role.VIEWER,
    "GET /api/v1/dead-letters/{letter_id}/body": Role.OPERATOR,
    "GET /api/v1/dead-letters/{letter_id}/message": Role.OPERATOR,
    "POST /api/v1/dead-letters/decisions/new": Role.OPERATOR,
    # --- schema drift ---
    "GET /drifts": Role.VIEWER,
    "GET /drifts/{drift_id}": Role.VIEWER,
    "POST /drifts/{drift_id}/decision": Role.APPROVER,
    "GET /api/v1/drifts": Role.VIEWER,
    "GET /api/v1/drifts/{drift_id}": Role.VIEWER,
    "GET /api/v1/drifts/{drift_id}/sample": Role.OPERATOR,
    "POST /api/v1/drifts/{drift_id}/decision": Role.APPROVER,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table."""

    method: str
    path: str
    role: Role | None
    pattern: re.Pattern[str]


class AccessTable:
    """Finds the line that a request falls under."""

    def __init__(self, access: Mapping[str, Role | None]) -> None:
        self.rules = [_rule(line, role) for line, role in access.items()]
        for rule in self.rules:
            self._check_unambiguous(rule)

    def methods(self, path: str) -> list[Rule]:
        """Return the lines of a path, one a method."""
        return [rule for rule in self.rules if rule.pattern.match(path)]

    def find(self, method: str, path: str) -> Rule | None:
        """Return the line of a request; None if there is none."""
        return next((rule for rule in self.methods(path) if rule.method == method), None)

    def _check_unambiguous(self, rule: Rule) -> None:
        """Refuse two lines that one request falls under: guard and router might choose apart."""
        example = re.sub(r"\{[^}]*\}", "x", rule.path)
        for other in self.rules:
            if other is not rule and other.method == rule.method and other.pattern.match(example):
                raise ValueError(f"`{rule.method} {rule.path}` is also `{other.path}`")


def _rule(line: str, role: Role | None) -> Rule:
    method, _, path = line.partition(" ")
    return Rule(method, path, role, compile_path(path)[0])
