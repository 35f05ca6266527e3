"""An identity provider: OpenID Connect's authorization code flow with PKCE, on a real port, with
signed tokens.

It logs everybody on as the person that the test names, and makes the mistakes that a test asks for.
"""

import base64
import contextlib
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "penstock-console"
CLIENT_SECRET = "only for tests, and long enough"


@dataclass(slots=True)
class OidcProvider:
    """The provider, and what it is to say."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=dict)
    """Who logs on: `sub`, `preferred_username`, `groups`; may also spoil `iss`, `aud`, `nonce`."""

    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    signs_with: RSAKey | None = None
    """Another key than the one it publishes."""

    redeemed: int = 0
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/openid-configuration", self.describe),
            Route("/authorize", self.authorize),
            Route("/token", self.token, methods=["POST"]),
            Route("/keys", self.keys),
        ]

    async def describe(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if asked.get("client_id") != CLIENT_ID or asked.get("code_challenge_method") != "S256":
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        query = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{query}", 303)

    async def token(self, request: Request) -> Response:
        given = dict(parse_qsl((await request.body()).decode()))
        asked = self._codes.pop(given.get("code", ""), None)
        client = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        proof = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).decode().rstrip("=")
        if (
            asked is None
            or request.headers.get("authorization") != f"Basic {client}"
            or challenge != asked["code_challenge"]
            or given.get("redirect_uri") != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.redeemed += 1
        return JSONResponse(
            {"access_token": "x", "token_type": "Bearer", "id_token": self._sign(asked["nonce"])}
        )

    async def keys(self, _: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    def _sign(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "nonce": nonce,
            "iat": now,
            "exp": now + 300,
        }
        key = self.signs_with or self.key
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims | self.claims, key)


@contextlib.contextmanager
def oidc_provider() -> Generator[OidcProvider]:
    """Run a provider on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        provider = OidcProvider(f"http://127.0.0.1:{listener.getsockname()[1]}")
        app = Starlette(routes=provider.routes())
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield provider
        finally:
            server.should_exit = True
            thread.join(10)
