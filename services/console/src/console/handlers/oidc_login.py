"""Logging on through the organisation's identity provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from console import metrics
from console.domain.credentials import digest, new_token
from console.domain.roles import Role
from console.errors import LoginRefusedError, OidcError
from console.handlers.login import Login, Visitor
from console.ports.oidc import IdentityProvider, OidcIdentity, PendingLogin, PendingLogins

EVERYBODY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcLogin:
    """Sends a browser away, and lets in who comes back."""

    provider: IdentityProvider
    pending: PendingLogins
    login: Login
    roles: Mapping[Role, frozenset[str]]

    async def begin(self, *, visit: str, next_path: str, redirect: str) -> str:
        """Return where to send the browser whose cookie is `visit`."""
        state = new_token()
        pending = PendingLogin(nonce=new_token(), verifier=new_token(), next=next_path)
        address = await self.provider.login_address(state, pending, redirect=redirect)
        await self.pending.add(_bound(state, visit), pending)
        return address

    async def finish(
        self, *, state: str, code: str, visit: str, visitor: Visitor, redirect: str
    ) -> tuple[str, str]:
        """Return the cookie of a new session, and where the browser wanted to go.

        Raises:
            LoginRefusedError: this browser did not ask to log on, or the person has no role.
            OidcError: the provider's answer cannot be trusted.
        """
        pending = await self.pending.take(_bound(state, visit))
        if pending is None:
            raise LoginRefusedError("This log-on is over; begin again.")
        try:
            identity = await self.provider.identify(code, pending, redirect=redirect)
        except OidcError:
            metrics.LOGINS.labels("oidc", "refused").inc()
            raise
        role = await self._role_of(identity, visitor)
        users = self.login.users
        user = await users.keep_from_oidc(identity.subject, name=identity.name, role=role)
        if not user.is_active:
            await self._refuse(identity, visitor, "Your user is locked here.")
        metrics.LOGINS.labels("oidc", "accepted").inc()
        cookie = await self.login.open_session(user.user_id, user.name, visitor=visitor, way="oidc")
        return cookie, pending.next

    async def _role_of(self, identity: OidcIdentity, visitor: Visitor) -> Role:
        """Return the highest role that the identity's groups give."""
        for role in reversed(Role):
            wanted = self.roles.get(role, frozenset())
            if wanted & identity.groups or EVERYBODY in wanted:
                return role
        return await self._refuse(
            identity, visitor, "Your user has no role here; ask an administrator."
        )

    async def _refuse(self, identity: OidcIdentity, visitor: Visitor, reason: str) -> NoReturn:
        metrics.LOGINS.labels("oidc", "refused").inc()
        details = {"address": visitor.address, "way": "oidc", "reason": reason}
        await self.login.audit.record(
            identity.name, "login.failed", subject=identity.subject, details=details
        )
        raise LoginRefusedError(reason)


def _bound(state: str, visit: str) -> bytes:
    """Tie a log-on to its browser: nobody can be made to finish somebody else's."""
    return digest(f"{state}.{visit}")
