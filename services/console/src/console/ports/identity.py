"""Users, their sessions and their tokens."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from console.domain.principals import Principal
from console.domain.roles import Role

LIMIT_OF_NAME = 10
LIMIT_OF_ADDRESS = 30
"""Attempts to log on in a while; more for an address, since an office has but one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One who may log on."""

    user_id: uuid.UUID
    name: str
    origin: str
    """`local`, `file` (its password stands in the users file) or `oidc`."""

    role: Role
    is_active: bool
    must_change_password: bool
    created_at: datetime
    last_login_at: datetime | None = None
    open_sessions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token, without what makes it work."""

    token_id: uuid.UUID
    owner: str
    label: str
    role: Role
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    is_expired: bool = False


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lives."""

    lifetime: timedelta
    idle: timedelta


class Sessions(Protocol):
    """Who is logged on."""

    async def open(
        self, user_id: uuid.UUID, token_hash: bytes, *, address: str, agent: str
    ) -> None:
        """Begin a session."""
        ...

    async def find(
        self, token_hash: bytes, limits: SessionLimits, *, touches: bool = True
    ) -> Principal | None:
        """Return whose session it is; None when it is unknown, over, or the user is locked.

        Args:
            token_hash: Of the cookie.
            limits: When it is over.
            touches: Whether the request shows that somebody is there; a page that refreshes
                itself does not.
        """
        ...

    async def close(self, token_hash: bytes) -> None:
        """End a session."""
        ...

    async def close_all(self, user_id: uuid.UUID, *, but: bytes | None = None) -> None:
        """End a user's sessions, all but one."""
        ...


class Bearers(Protocol):
    """Who stands behind a token."""

    async def find(self, token_hash: bytes) -> Principal | None:
        """Return for whom a token speaks; None when it does not count (any more)."""
        ...


class Tokens(Bearers, Protocol):
    """Tokens for the API."""

    async def add(
        self, token_hash: bytes, *, user_id: uuid.UUID, label: str, role: Role, expires_at: datetime
    ) -> None:
        """Keep a token."""
        ...

    async def list(self) -> Sequence[ApiToken]:
        """Return every token, the newest first."""
        ...

    async def revoke(self, token_id: uuid.UUID) -> str | None:
        """Make a token void at once; return its label, None if there is no such token."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """What a log-on is compared with."""

    user_id: uuid.UUID
    password_hash: str | None
    is_active: bool


class Users(Protocol):
    """Who may log on."""

    async def account(self, name: str) -> Account | None:
        """Return what a password is compared with."""
        ...

    async def list(self) -> Sequence[User]:
        """Return every user by name."""
        ...

    async def get(self, user_id: uuid.UUID) -> User | None:
        """Return a user."""
        ...

    async def add(
        self,
        name: str,
        *,
        role: Role,
        password_hash: str,
        origin: str = "local",
        must_change_password: bool = True,
    ) -> uuid.UUID | None:
        """Add a local user; None if the name is taken."""
        ...

    async def add_first(self, name: str, *, password_hash: str) -> bool:
        """Add an administrator if there is no user at all; return whether it was added.

        Of several processes that start at once, one adds it.
        """
        ...

    async def keep_from_file(self, name: str, *, role: Role, password_hash: str) -> bool:
        """Make a user what the users file says; return whether that changed anything."""
        ...

    async def lock_missing_from_file(self, names: Sequence[str]) -> Sequence[str]:
        """Lock the users that the file named once and names no more; return their names."""
        ...

    async def keep_from_oidc(self, subject: str, *, name: str, role: Role) -> User:
        """Return the user behind a subject, with the name and role that were told now."""
        ...

    async def set_password(
        self, user_id: uuid.UUID, password_hash: str, *, must_change: bool
    ) -> None:
        """Replace a password."""
        ...

    async def change(self, user_id: uuid.UUID, *, role: Role, is_active: bool) -> bool:
        """Change what a user may do; False if that would leave no administrator."""
        ...

    async def logged_in(self, user_id: uuid.UUID) -> None:
        """Note that a user has logged on now."""
        ...


class LoginAttempts(Protocol):
    """How often a log-on failed lately; replicas count together."""

    async def take(self, name: str, address: str, *, window: timedelta) -> tuple[int, int]:
        """Count an attempt; return how many there were of this name and from this address."""
        ...

    async def forget(self, name: str, address: str) -> None:
        """A log-on succeeded: the name begins anew, from this address."""
        ...


class Passwords(Protocol):
    """The slow hash of what people choose."""

    async def hash(self, password: str) -> str:
        """Return what is kept."""
        ...

    async def is_right(self, password: str, kept: str | None) -> bool:
        """Compare; takes as long when there is nothing to compare with."""
        ...
