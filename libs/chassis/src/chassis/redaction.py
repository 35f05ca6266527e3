"""Takes credentials out of whatever is about to be shown: logs, errors, dead letters, messages.

Two nets: patterns for what looks like a credential wherever it stands, and the exact values that
the settings declare secret. Every repetition in a pattern is bounded, and so is what is looked at,
because the texts come from others and a long one must not stop the event loop.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

REDACTED = "***"

SHORTEST_SECRET = 6
"""Shorter values are not searched for: they would blank out ordinary words."""

MAX_TEXT = 16_000
"""Characters that are shown of a text."""

_MARGIN = 2_000
"""Longer than any secret: what follows the cut and belongs to one that begins before it."""

_NAME = r"(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|credentials?|signature)"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # scheme://user:password@host; the last @ of the authority ends the user information.
    (re.compile(r"([a-zA-Z][\w+.-]{0,30}://)[^\s/?#\"'<>]{0,1000}@"), rf"\1{REDACTED}@"),
    # The same with an unescaped / ? or # in the password: what follows the colon is no port.
    (
        re.compile(
            r"([a-zA-Z][\w+.-]{0,30}://)[^\s/:@]{1,200}:(?!\d{0,5}(?:[/?#\s\"']|$))"
            r"[^\s\"'<>]{0,1000}@"
        ),
        rf"\1{REDACTED}@",
    ),
    # user:password@host without a scheme, as proxies are often written.
    (re.compile(r"(?<![\w@/:.])[\w.\\%-]{1,100}:[^\s/:@\"']{1,200}@(?=[\w\[])"), f"{REDACTED}@"),
    # ?token=..., &X-Amz-Signature=..., #access_token=...
    (
        re.compile(
            r"([?&#;][\w-]{0,40}(?:token|key|secret|password|passwd|pwd|sig|credential|auth)"
            r"[\w-]{0,40}=)[^&#\s\"']+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # Authorization: Basic ..., 'authorization': 'Bearer ...'
    (
        re.compile(
            r"(\bauthorization\b[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:[a-z]{1,20}\s+)?)[^\s\"',;]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{REDACTED}"),
    # password=..., "secret": "...", 'api_key': '...', password: ...
    (
        re.compile(
            rf"(\b[\w.-]{{0,20}}{_NAME}(?:[\"']?\s{{0,3}}=\s{{0,3}}|[\"']\s{{0,3}}:\s{{0,3}}))"
            r"(?:\"[^\"]*\"|'[^']*'|[^\s\"',;&)}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (
        re.compile(r"(\b(?:password|passwd|pwd|secret)\s{0,3}:\s{1,3})\S+", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    # What pydantic quotes of a value that it refuses.
    (re.compile(r"(input_value=).{0,5000}?(?=, input_type=)", re.DOTALL), rf"\1{REDACTED}"),
)

_known_secrets: list[str] = []


def register_secrets(values: Iterable[str]) -> None:
    """Have these values removed wherever they turn up, in any of their usual spellings."""
    found = set(_known_secrets)
    for value in values:
        found.update(item for item in _spellings(value) if len(item) >= SHORTEST_SECRET)
    # The longest first: a secret may be the beginning of another one.
    _known_secrets[:] = sorted(found, key=len, reverse=True)


def redact(text: str) -> str:
    """Return a text without credentials and registered secrets, cut to `MAX_TEXT`."""
    length = len(text)
    # Cut first, or the work grows with the text; cut again later, or half a secret remains.
    text = text[: MAX_TEXT + _MARGIN]
    for secret in _known_secrets:
        text = text.replace(secret, REDACTED)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    if length <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… ({length} characters)"


def sanitize_url_for_logging(url: str) -> str:
    """Return `url` without credentials and tokens (S1-27)."""
    return redact(url)


def _spellings(value: str) -> Iterable[str]:
    """Yield the forms in which a secret shows up: as it is, quoted in a URL, escaped in a text.

    Of a URL, its password is a secret as well: clients name it without the rest.
    """
    plain = [value]
    if "://" in value:
        password = value.split("://", 1)[1].rpartition("@")[0].partition(":")[2]
        plain += [password, unquote(password)]
    for item in plain:
        yield from (item, quote(item, safe=""), repr(item)[1:-1])
