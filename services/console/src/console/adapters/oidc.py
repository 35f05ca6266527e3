"""Speaks OpenID Connect with the identity provider; trusts only what is signed, and for us."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, ValidationError

from chassis.clock import Clock
from chassis.db import Database
from chassis.errors import UnavailableError
from console.errors import OidcError
from console.ports.oidc import OidcIdentity, PendingLogin
from console.settings import OidcSettings, is_loopback

_DEADLINE = 10.0
_FRESH_SECONDS = 3600.0
_LEEWAY_SECONDS = 60
_MAX_NAME = 100

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Signatures with a public key; `none` and shared keys prove nothing here."""


class _Metadata(BaseModel):
    """What the provider says about itself."""

    model_config = ConfigDict(extra="ignore")

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class OidcProvider:
    """The provider that the settings name."""

    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._http = httpx2.AsyncClient(timeout=_DEADLINE)
        self._metadata: _Metadata | None = None
        self._keys: KeySet | None = None
        self._read_at = 0.0

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def login_address(self, state: str, pending: PendingLogin, *, redirect: str) -> str:
        """Return where to send the browser."""
        metadata = await self._discover()
        async with self._client(redirect) as client:
            address, _ = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=state,
                nonce=pending.nonce,
                code_verifier=pending.verifier,
            )
        return str(address)

    async def identify(self, code: str, pending: PendingLogin, *, redirect: str) -> OidcIdentity:
        """Redeem a code and return whose it is."""
        metadata = await self._discover()
        try:
            async with asyncio.timeout(_DEADLINE), self._client(redirect) as client:
                token = await client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=pending.verifier,
                )
        except (httpx2.HTTPError, TimeoutError) as error:
            raise _unavailable(error) from error
        except AuthlibBaseError as error:
            raise OidcError("The identity provider does not accept the code.") from error
        claims = await self._verify(str(token.get("id_token", "")), metadata)
        if claims.get("nonce") != pending.nonce:
            raise OidcError("The identity provider's answer belongs to another log-on.")
        return self._identity(claims)

    def _client(self, redirect: str) -> AsyncOAuth2Client:
        secret = self._settings.client_secret
        return AsyncOAuth2Client(
            client_id=self._settings.client_id,
            client_secret=secret.get_secret_value() if secret else None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=self._settings.scopes,
            redirect_uri=redirect,
            code_challenge_method="S256",
            timeout=_DEADLINE,
        )

    async def _verify(self, id_token: str, metadata: _Metadata) -> Mapping[str, Any]:
        """Return the claims of a token that the provider signed for us, now."""
        try:
            try:
                token = jwt.decode(id_token, await self._key_set(), algorithms=_ALGORITHMS)
            except (JoseError, ValueError):
                # The provider may have new keys since we read them.
                keys = await self._key_set(anew=True)
                token = jwt.decode(id_token, keys, algorithms=_ALGORITHMS)
            jwt.JWTClaimsRegistry(
                now=int(self._clock.now().timestamp()),
                leeway=_LEEWAY_SECONDS,
                iss={"essential": True, "value": metadata.issuer},
                aud={"essential": True, "value": self._settings.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            ).validate(token.claims)
        except (JoseError, ValueError) as error:
            raise OidcError("The identity provider's token is not valid for us.") from error
        claims: Mapping[str, Any] = token.claims
        authorized = claims.get("azp", self._settings.client_id)
        if authorized != self._settings.client_id:
            raise OidcError("The identity provider's token was made for another client.")
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> OidcIdentity:
        groups = claims.get(self._settings.role_claim, ())
        if isinstance(groups, str):
            groups = groups.split()
        names = (claims.get("preferred_username"), claims.get("email"), claims["sub"])
        name = next(str(item) for item in names if item)
        return OidcIdentity(
            subject=f"{claims['iss']}|{claims['sub']}",
            name=name.strip().lower()[:_MAX_NAME],
            groups=frozenset(str(item) for item in groups),
        )

    async def _discover(self) -> _Metadata:
        fresh = self._clock.monotonic() - self._read_at < _FRESH_SECONDS
        if self._metadata is not None and fresh:
            return self._metadata
        issuer = self._settings.issuer
        found = await self._get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        try:
            metadata = _Metadata.model_validate(found)
        except ValidationError as error:
            raise OidcError("The identity provider does not describe itself.") from error
        if metadata.issuer != issuer:
            raise OidcError(f"The identity provider calls itself {metadata.issuer!r}.")
        addresses = (
            metadata.authorization_endpoint,
            metadata.token_endpoint,
            metadata.jwks_uri,
        )
        if not all(is_confidential(address) for address in addresses):
            raise OidcError("The identity provider names an address without https.")
        self._metadata, self._keys = metadata, None
        self._read_at = self._clock.monotonic()
        return metadata

    async def _key_set(self, *, anew: bool = False) -> KeySet:
        if self._keys is None or anew:
            metadata = await self._discover()
            try:
                self._keys = KeySet.import_key_set(await self._get(metadata.jwks_uri))
            except (JoseError, ValueError, KeyError) as error:
                raise OidcError("The identity provider's keys cannot be read.") from error
        return self._keys

    async def _get(self, address: str) -> Any:
        try:
            async with asyncio.timeout(_DEADLINE):
                answer = await self._http.get(address)
            answer.raise_for_status()
            return answer.json()
        except (httpx2.HTTPError, TimeoutError) as error:
            raise _unavailable(error) from error
        except ValueError as error:
            raise OidcError("The identity provider's answer is no JSON.") from error


class PostgresPendingLogins:
    """Log-ons under way; any replica may finish what another began."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, state_hash: bytes, pending: PendingLogin) -> None:
        """Keep a log-on until the browser comes back."""
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into console.oidc_logins (state_hash, nonce, verifier, next) "
                "values ($1, $2, $3, $4)",
                state_hash,
                pending.nonce,
                pending.verifier,
                pending.next,
            )

    async def take(self, state_hash: bytes) -> PendingLogin | None:
        """Return a log-on, once and for ten minutes."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "delete from console.oidc_logins where state_hash = $1 "
                "returning nonce, verifier, next, "
                "created_at > clock_timestamp() - interval '10 minutes' as is_fresh",
                state_hash,
            )
        if row is None or not row["is_fresh"]:
            return None
        return PendingLogin(row["nonce"], row["verifier"], row["next"])


def is_confidential(address: str) -> bool:
    """Whether nobody on the way can read along: https, or this machine."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


def _unavailable(error: Exception) -> UnavailableError:
    return UnavailableError(
        f"The identity provider does not answer: {str(error) or type(error).__name__}",
        dependency="oidc",
    )
