"""Who may do what: four roles, each of which includes those before it."""

from enum import StrEnum


class Role(StrEnum):
    """What a person or a token may do."""

    VIEWER = "viewer"
    """Sees everything but the values of rows and messages."""

    OPERATOR = "operator"
    """Triggers, cancels, replays; sees values, masked."""

    APPROVER = "approver"
    """Approves what destroys: held deletions, destructive plans, breaking schemas."""

    ADMIN = "admin"
    """Manages users and tokens."""

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)
