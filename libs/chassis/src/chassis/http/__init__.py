"""HTTP APIs as record sources and enrichments see them: one client, one set of errors, one budget
per credential.
"""

from chassis.http.answers import Reply
from chassis.http.budget import NoBudget, PostgresRateBudget, RateBudget
from chassis.http.client import HttpClient
from chassis.http.config import HttpConfig, SecretLookup
from chassis.http.open import open_client

__all__ = [
    "HttpClient",
    "HttpConfig",
    "NoBudget",
    "PostgresRateBudget",
    "RateBudget",
    "Reply",
    "SecretLookup",
    "open_client",
]
