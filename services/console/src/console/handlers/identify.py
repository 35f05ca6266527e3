"""Whose request is it?"""

from dataclasses import dataclass

from console.domain.credentials import API_TOKEN_PREFIX, digest
from console.domain.principals import Principal
from console.ports.identity import Bearers, SessionLimits, Sessions


@dataclass(frozen=True, slots=True)
class Identify:
    """Finds the principal behind a cookie or a bearer token."""

    sessions: Sessions
    tokens: Bearers
    limits: SessionLimits

    async def by_cookie(self, cookie: str, *, touches: bool = True) -> Principal | None:
        """Return whose session a cookie stands for."""
        return await self.sessions.find(digest(cookie), self.limits, touches=touches)

    async def by_bearer(self, token: str) -> Principal | None:
        """Return for whom an API token speaks."""
        if not token.startswith(API_TOKEN_PREFIX):
            return None
        return await self.tokens.find(digest(token))
