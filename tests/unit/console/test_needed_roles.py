"""What needs an approver also needs one when it is given again."""

from typing import Any

import pytest

from console.domain.needed_roles import needed_role
from console.domain.roles import Role


@pytest.mark.parametrize(
    ("topic", "body", "role"),
    [
        ("scan.requested", {"source": "nas"}, Role.OPERATOR),
        ("scan.requested", {"source": "nas", "release_held_deletions": False}, Role.OPERATOR),
        ("scan.requested", {"source": "nas", "release_held_deletions": True}, Role.APPROVER),
        ("refresh.requested", {"table": "orders", "force": False}, Role.OPERATOR),
        ("refresh.requested", {"table": "orders", "force": True}, Role.APPROVER),
        ("refresh.approve-requested", {"plan": "p"}, Role.APPROVER),
        ("refresh.undo-requested", {"plan": "p"}, Role.OPERATOR),
        ("schema.decision-requested", {}, Role.APPROVER),
    ],
)
def test_a_command_needs_the_role_of_its_effect(
    topic: str, body: dict[str, Any], role: Role
) -> None:
    assert needed_role(topic, body) is role
