"""Who makes a request."""

import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime

from console.domain.roles import Role

NAME_PATTERN = r"^[a-z0-9][a-z0-9._@-]{0,98}$"
"""Login names: no slash, which stands between a user and a token in the audit trail."""


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


@dataclass(frozen=True, slots=True)
class LocalUser:
    """The one who has the console in their own process, by the token made for that."""

    name: str
    token_hash: bytes

    async def find(self, token_hash: bytes) -> Principal | None:
        """Return the user, if it is their token."""
        if not hmac.compare_digest(token_hash, self.token_hash):
            return None
        return Principal(name=self.name, role=Role.ADMIN, user_id=uuid.UUID(int=0), is_token=True)


@dataclass(frozen=True, slots=True)
class FileUser:
    """A user of the users file."""

    name: str
    role: Role
    password_hash: str
