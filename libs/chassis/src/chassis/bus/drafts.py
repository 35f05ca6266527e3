"""Events to bytes where there are thousands: what they have in common is rendered once.

The form of an event is taken from the model, with gaps where events differ, and the first of each
form is rendered by the model as well: a contract that changes cannot be passed by.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from pydantic_core import to_json

from chassis.bus.codec import encode_event
from contracts.envelope import Event
from contracts.topics import Topic
from contracts.types import Message, column_of

_CHECKED = ("id", "subject", "correlationid", "causationid", "traceparent")
_GAPS = {"sequence": b"%d"}
"""What fills a gap is JSON already, unless named here."""


class Draft(NamedTuple):
    """An event whose sequence is not drawn yet."""

    declared: Topic
    source: str
    id: str
    time: datetime
    subject: str
    correlationid: str
    causationid: str | None
    traceparent: str | None
    data: bytes
    """As JSON."""

    def sign(self, sequence: int) -> Event[Any]:
        """Return the event, by the model."""
        data = self.declared.data.model_validate_json(self.data)
        return Event(
            id=self.id,
            type=self.declared.name,
            source=self.source,
            time=self.time,
            subject=self.subject,
            dataschema=f"{self.declared.name}.json",
            sequence=sequence,
            correlationid=self.correlationid,
            causationid=self.causationid,
            traceparent=self.traceparent,
            data=data,
        )


class Encoded(NamedTuple):
    """What is stored of an event."""

    value: bytes
    headers: bytes
    """A JSON object of texts by name."""

    header_bytes: int
    """How long all names and texts are."""


class _Form(NamedTuple):
    value: bytes
    headers: bytes
    header_bytes: int
    """Without what fills the gaps."""


_Shape = tuple[str, str, bool, bool]


class DraftEncoder:
    """Encodes the events of one transaction."""

    def __init__(self) -> None:
        self._forms: dict[_Shape, _Form] = {}
        self._time: datetime | None = None
        self._time_text = b""

    def encode(self, draft: Draft, sequence: int) -> Encoded:
        """Return the bytes that `encode_event` returns for the signed event.

        Of the envelope nothing is validated here: see `check`.
        """
        name, source = draft.declared.name, draft.source
        shape = (name, source, draft.causationid is None, draft.traceparent is None)
        form = self._forms.get(shape)
        if form is None:
            form = self._forms[shape] = self._learn(draft, sequence)
        return self._fill(form, draft, sequence)

    def _learn(self, draft: Draft, sequence: int) -> _Form:
        event = draft.sign(sequence)
        value, headers = encode_event(event)
        form = _Form(
            _with_gaps(event.model_dump(mode="json", exclude_none=True), _VARYING),
            _with_gaps(headers, ("ce_id", "traceparent")),
            sum(map(len, headers)) + len(headers["content-type"]) + len(event.type.encode()),
        )
        filled = self._fill(form, draft, sequence)
        if filled.value != value or orjson.loads(filled.headers) != headers:
            raise RuntimeError(f"events of `{event.type}` are not rendered as their model says")
        return form

    def _fill(self, form: _Form, draft: Draft, sequence: int) -> Encoded:
        _, _, id_, time, subject, correlation, causation, trace, data = draft
        id_text = orjson.dumps(id_)
        gaps: tuple[bytes | int, ...] = (
            id_text,
            self._time_text if time is self._time else self._render(time),
            orjson.dumps(subject),
            sequence,
            id_text if correlation is id_ else orjson.dumps(correlation),
        )
        traced: tuple[bytes, ...] = ()
        header_bytes = form.header_bytes + len(id_.encode())
        if causation is not None:
            gaps += (orjson.dumps(causation),)
        if trace is not None:
            traced = (orjson.dumps(trace),)
            gaps += traced
            header_bytes += len(trace.encode())
        return Encoded(form.value % (*gaps, data), form.headers % (id_text, *traced), header_bytes)

    def _render(self, moment: datetime) -> bytes:
        """Render a time; the events of a batch have the same."""
        text = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        self._time, self._time_text = moment, orjson.dumps(text)
        return self._time_text


_VARYING = (
    "id",
    "time",
    "subject",
    "sequence",
    "correlationid",
    "causationid",
    "traceparent",
    "data",
)


def render(data: Message) -> bytes:
    """Render the data of an event."""
    text: bytes = data.__pydantic_serializer__.to_json(data, exclude_none=True)
    return text


def check(drafts: Iterable[Draft]) -> None:
    """Validate what events say of themselves as the model does; their data are valid already.

    Raises:
        ValidationError: a text is empty, or too long.
    """
    events = list(drafts)
    for name in _CHECKED:
        column_of(Event, name).validate_python([getattr(event, name) for event in events])


def _with_gaps(fields: dict[str, Any], varying: Iterable[str]) -> bytes:
    """Return an object as JSON for the `%` of bytes, with a gap where values vary."""
    items = (
        to_json(name)
        + b":"
        + (_GAPS.get(name, b"%b") if name in varying else to_json(value).replace(b"%", b"%%"))
        for name, value in fields.items()
    )
    return b"{" + b",".join(items) + b"}"
