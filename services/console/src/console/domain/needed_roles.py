"""Which role a command needs, whatever page or program it is given through.

The table of routes says who may open a page; a command that is given again comes through the page
of a run, so what it would do is looked at once more.
"""

from collections.abc import Mapping
from typing import Any

from console.domain.roles import Role
from contracts.topics import REFRESH_APPROVE_REQUESTED, SCAN_REQUESTED, SCHEMA_DECISION_REQUESTED

_DECISIONS = frozenset({REFRESH_APPROVE_REQUESTED.name, SCHEMA_DECISION_REQUESTED.name})


def needed_role(topic: str, body: Mapping[str, Any]) -> Role:
    """Return the least role that may give a command."""
    releases = topic == SCAN_REQUESTED.name and body.get("release_held_deletions") is True
    is_forced = body.get("force") is True
    return Role.APPROVER if topic in _DECISIONS or releases or is_forced else Role.OPERATOR
