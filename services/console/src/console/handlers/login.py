"""Logging on and off, and choosing a password."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from console import metrics
from console.domain.credentials import digest, new_token
from console.domain.passwords import MAX_LENGTH, problem_with
from console.domain.principals import Principal
from console.errors import LoginRefusedError, RefusedError
from console.ports.audit import Audit
from console.ports.identity import (
    LIMIT_OF_ADDRESS,
    LIMIT_OF_NAME,
    LoginAttempts,
    Passwords,
    Sessions,
    Users,
)

WINDOW = timedelta(minutes=15)
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Visitor:
    """From where somebody comes."""

    address: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Lets people in and out."""

    users: Users
    sessions: Sessions
    attempts: LoginAttempts
    passwords: Passwords
    audit: Audit

    async def by_password(self, name: str, password: str, *, visitor: Visitor) -> str:
        """Return the cookie of a new session.

        Raises:
            LoginRefusedError: the name or the password is wrong, or there were too many attempts.
        """
        name = name.strip().lower()[:_MAX_NAME]
        await self._count(name, visitor)
        account = await self.users.account(name)
        is_right = await self.passwords.is_right(
            password[: MAX_LENGTH + 1], account.password_hash if account else None
        )
        if account is None or not is_right or not account.is_active:
            metrics.LOGINS.labels("password", "refused").inc()
            await self.audit.record(
                name, "login.failed", subject=name, details={"address": visitor.address}
            )
            raise LoginRefusedError
        await self.attempts.forget(name, visitor.address)
        metrics.LOGINS.labels("password", "accepted").inc()
        return await self.open_session(account.user_id, name, visitor=visitor, way="password")

    async def open_session(
        self, user_id: uuid.UUID, name: str, *, visitor: Visitor, way: str
    ) -> str:
        """Return the cookie of a new session of somebody who has proved who they are."""
        cookie = new_token()
        await self.sessions.open(
            user_id, digest(cookie), address=visitor.address, agent=visitor.agent
        )
        await self.users.logged_in(user_id)
        details = {"address": visitor.address, "way": way}
        await self.audit.record(name, "login", subject=name, details=details)
        return cookie

    async def log_out(self, principal: Principal, cookie: str) -> None:
        """End a session."""
        await self.sessions.close(digest(cookie))
        await self.audit.record(principal.name, "logout", subject=principal.name)

    async def change_password(
        self, principal: Principal, cookie: str, *, current: str, new: str, visitor: Visitor
    ) -> None:
        """Replace somebody's own password; their other sessions end.

        Raises:
            RefusedError: the present one is wrong, or the new one is not good enough.
        """
        name = principal.name
        user = await self.users.get(principal.user_id)
        if user is None or user.origin != "local":
            raise RefusedError("Your password is not kept here; change it where you got it.")
        if problem := problem_with(new, name=name):
            raise RefusedError(problem)
        if new == current:
            raise RefusedError("It is the present one.")
        await self._count(name, visitor)
        account = await self.users.account(name)
        if account is None or not await self.passwords.is_right(current, account.password_hash):
            raise RefusedError("The present password is wrong.")
        await self.attempts.forget(name, visitor.address)
        kept = await self.passwords.hash(new)
        await self.users.set_password(principal.user_id, kept, must_change=False)
        await self.sessions.close_all(principal.user_id, but=digest(cookie))
        await self.audit.record(name, "password.changed", subject=name)

    async def _count(self, name: str, visitor: Visitor) -> None:
        of_name, of_address = await self.attempts.take(name, visitor.address, window=WINDOW)
        if of_name <= LIMIT_OF_NAME and of_address <= LIMIT_OF_ADDRESS:
            return
        metrics.LOGINS.labels("password", "limited").inc()
        raise LoginRefusedError("Too many attempts; wait a quarter of an hour.")
