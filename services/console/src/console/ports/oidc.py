"""Log-on through an identity provider (OpenID Connect, authorization code with PKCE)."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A browser that is at the identity provider."""

    nonce: str
    """Ties the provider's answer to this log-on."""

    verifier: str
    """Proves that who redeems the code is who asked for it."""

    next: str


@dataclass(frozen=True, slots=True)
class OidcIdentity:
    """Who the provider says it is."""

    subject: str
    """Issuer and subject together: unique, and never given to somebody else."""

    name: str
    groups: frozenset[str]
    """Values of the claim that gives roles."""


class IdentityProvider(Protocol):
    """The organisation's identity provider."""

    async def login_address(self, state: str, pending: PendingLogin, *, redirect: str) -> str:
        """Return where to send the browser."""
        ...

    async def identify(self, code: str, pending: PendingLogin, *, redirect: str) -> OidcIdentity:
        """Redeem a code and return whose it is.

        Raises:
            OidcError: the answer is not what it should be.
            UnavailableError: the provider does not answer.
        """
        ...


class PendingLogins(Protocol):
    """Log-ons under way."""

    async def add(self, state_hash: bytes, pending: PendingLogin) -> None:
        """Keep a log-on until the browser comes back."""
        ...

    async def take(self, state_hash: bytes) -> PendingLogin | None:
        """Return a log-on, once; None if there is none (any more)."""
        ...
