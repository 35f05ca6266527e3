"""Users and API tokens: what administrators do, and what the start does in their place."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from chassis.clock import Clock
from console.domain.credentials import digest, new_api_token
from console.domain.passwords import problem_with
from console.domain.principals import FileUser, Principal
from console.domain.roles import Role
from console.errors import NotFoundError, RefusedError
from console.ports.audit import Audit
from console.ports.identity import Passwords, Sessions, Tokens, User, Users

FIRST_USER = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Administer:
    """Manages who may log on."""

    users: Users
    sessions: Sessions
    tokens: Tokens
    passwords: Passwords
    audit: Audit
    clock: Clock

    async def prepare(self, from_file: Sequence[FileUser]) -> str | None:
        """Bring the users in line with the file; where there is nobody at all, add the first.

        Returns the first user's one-time password, for whoever starts the console to read.
        """
        for user in from_file:
            if await self.users.keep_from_file(
                user.name, role=user.role, password_hash=user.password_hash
            ):
                await self._note("users file", "user.kept", user.name, role=user.role)
        for name in await self.users.lock_missing_from_file([user.name for user in from_file]):
            await self._note("users file", "user.locked", name)
        password = one_time_password()
        kept = await self.passwords.hash(password)
        if not await self.users.add_first(FIRST_USER, password_hash=kept):
            return None
        await self._note("console", "user.added", FIRST_USER, role=Role.ADMIN)
        return password

    async def add_user(self, principal: Principal, name: str, *, role: Role) -> str:
        """Add a local user; return their one-time password.

        Raises:
            RefusedError: the name is taken.
        """
        password = one_time_password()
        kept = await self.passwords.hash(password)
        if await self.users.add(name, role=role, password_hash=kept) is None:
            raise RefusedError(f"There is a user {name!r} already.")
        await self._note(principal.name, "user.added", name, role=role)
        return password

    async def change_user(
        self, principal: Principal, user_id: uuid.UUID, *, role: Role, is_active: bool
    ) -> User:
        """Change a role, lock or unlock; a locked user's sessions and tokens end at once.

        Raises:
            NotFoundError: there is no such user.
            RefusedError: nobody would be left to manage users.
        """
        user = await self._get(user_id)
        if not await self.users.change(user_id, role=role, is_active=is_active):
            raise RefusedError("This is the last administrator; make somebody else one first.")
        if not is_active:
            await self.sessions.close_all(user_id)
        await self._note(principal.name, "user.changed", user.name, role=role, is_active=is_active)
        return user

    async def reset_password(self, principal: Principal, user_id: uuid.UUID) -> tuple[User, str]:
        """Give a user a new one-time password; their sessions end.

        Raises:
            NotFoundError: there is no such user.
            RefusedError: the password is not kept here.
        """
        user = await self._get(user_id)
        if user.origin != "local":
            raise RefusedError(f"The password of {user.name!r} is not kept here.")
        password = one_time_password()
        kept = await self.passwords.hash(password)
        await self.users.set_password(user_id, kept, must_change=True)
        await self.sessions.close_all(user_id)
        await self._note(principal.name, "password.reset", user.name)
        return user, password

    async def add_token(
        self, principal: Principal, user_id: uuid.UUID, *, label: str, role: Role, days: int
    ) -> str:
        """Return a new API token; it is shown once and only its hash is kept.

        Raises:
            NotFoundError: there is no such user.
            RefusedError: the role is above the user's.
        """
        user = await self._get(user_id)
        if not user.role.includes(role):
            raise RefusedError(f"{user.name!r} is {user.role}; a token cannot be more.")
        token = new_api_token()
        await self.tokens.add(
            digest(token),
            user_id=user_id,
            label=label,
            role=role,
            expires_at=self.clock.now() + timedelta(days=days),
        )
        details = {"role": role, "days": days}
        await self._note(principal.name, "token.added", f"{user.name}/{label}", **details)
        return token

    async def revoke_token(self, principal: Principal, token_id: uuid.UUID) -> None:
        """Make a token void at once.

        Raises:
            NotFoundError: there is no such token.
        """
        label = await self.tokens.revoke(token_id)
        if label is None:
            raise NotFoundError
        await self._note(principal.name, "token.revoked", label, token_id=str(token_id))

    async def _get(self, user_id: uuid.UUID) -> User:
        user = await self.users.get(user_id)
        if user is None:
            raise NotFoundError
        return user

    async def _note(self, actor: str, action: str, subject: str, **details: object) -> None:
        await self.audit.record(actor, action, subject=subject, details=details)


def one_time_password() -> str:
    """Return a password that is good until it is used, and easy to copy by hand."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    while True:
        groups = ("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))
        password = "-".join(groups)
        if problem_with(password, name=FIRST_USER) is None:
            return password
