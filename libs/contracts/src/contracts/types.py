"""The bounded value types that message fields are made of.

A message crosses trust borders, so every string has a maximum length and every time is UTC.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
)


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.utcoffset() else value


def _render_utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


UtcDatetime = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    PlainSerializer(_render_utc, return_type=str, when_used="json"),
]
"""An aware time, normalised to UTC; a naive one is refused.

RFC 3339 with microseconds in JSON.
"""

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]
"""A configured name: source, data set, table, service."""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=512)]
"""An identifier that a source gave: external ids, entity ids, event ids."""

FilePath = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
"""A path below a source's root, `/`-separated, without a leading `/`."""

ShortText = Annotated[str, StringConstraints(max_length=1000)]
"""A sentence for people: a reason, a message."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

JsonObject = dict[str, Any]
"""A JSON object whose shape belongs to a source, not to Penstock."""


class Message(BaseModel):
    """Base of everything in an envelope: frozen; readers ignore fields they do not know yet."""

    model_config = ConfigDict(frozen=True, extra="ignore")
