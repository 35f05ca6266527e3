"""Who makes a request."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from console.domain.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person with a session, or the holder of an API token."""

    name: str
    """Login name; a token's requests bear its owner's name and the token's: `ann/nightly`."""

    role: Role
    user_id: uuid.UUID
    is_token: bool = False
    must_change_password: bool = False
    ends_at: datetime | None = None
    """When the session ends whatever happens."""

    def may(self, role: Role) -> bool:
        """Whether the principal may do what a role may."""
        return self.role.includes(role)
