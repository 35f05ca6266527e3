"""Random tokens of sessions, forms and the API.

A token is known to its holder only: the database keeps its SHA-256, which is enough because the
token has 256 random bits; slow hashes are for what people choose.
"""

import hashlib
import hmac
import secrets

_BYTES = 32

API_TOKEN_PREFIX = "pst_"  # noqa: S105 - tells scanners of leaked secrets whose token it is


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(_BYTES)


def new_api_token() -> str:
    """Return a token for the API."""
    return API_TOKEN_PREFIX + new_token()


def digest(token: str) -> bytes:
    """Return what the database keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


def form_token(cookie: str) -> str:
    """Return the token that forms carry; it follows from the cookie, which no other site reads."""
    return hmac.digest(cookie.encode(), b"form", "sha256").hex()


def is_form_token(given: str, cookie: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), form_token(cookie).encode())
