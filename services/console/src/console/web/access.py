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
