"""The envelope around every message: CloudEvents 1.0.

Written in structured mode (one JSON object); both modes are read, in `chassis.bus.codec`. The
attributes and their rules follow the CloudEvents specification, version 1.0.2, and its Kafka
protocol binding. `sequence`, `correlationid`, `causationid` and `traceparent` are extension
attributes, hence their lower-case names.
"""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints

from contracts.types import Identifier, Message, UtcDatetime, Whole

Data = TypeVar("Data", bound=Message)

Attribute = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class Event(BaseModel, Generic[Data]):
    """One CloudEvent with its typed data."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        cache_strings="keys",  # identifiers, paths and times hardly ever come twice
    )

    specversion: Literal["1.0"] = "1.0"
    id: Identifier
    """Unique per `source`; a re-published event keeps it, which is how consumers recognise it."""

    type: Attribute
    """The topic's name, e.g. `file.changed`."""

    source: Attribute
    """The producing service, as a URI path: `/scanner`."""

    time: UtcDatetime
    """When the fact was established, not when the event was sent."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=3000)] | None = None
    """The message key in text form: what the event is about."""

    datacontenttype: Annotated[
        str, StringConstraints(max_length=255, pattern=r"^application/json *(;.*)?$")
    ] = "application/json"
    """Written plain; other producers add parameters such as a character set."""

    dataschema: Attribute | None = None
    """Name of the published JSON Schema, e.g. `file.changed.json`."""

    sequence: Whole | None = None
    """Grows with every event of one key: the outbox id.

    None where the producer keeps no state.
    """

    correlationid: Identifier | None = None
    """Follows one change from source to silver: the lineage id."""

    causationid: Identifier | None = None
    """The id of the event or command that led to this one."""

    traceparent: Annotated[str, StringConstraints(max_length=64)] | None = None
    """W3C trace context of the producing span."""

    data: Data
