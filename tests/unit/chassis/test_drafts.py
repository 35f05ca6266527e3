"""Events that are rendered together are, byte by byte, those that the model renders one by one."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chassis.bus.codec import encode_event
from chassis.bus.drafts import Draft, DraftEncoder, check, render
from contracts.layers import SilverChanged, SilverOperation
from contracts.records import RecordChange, RecordChanged
from contracts.topics import RECORD_CHANGED, SILVER_CHANGED

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
TRACES = st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
TIMES = st.datetimes(timezones=st.just(UTC))
SILVER = st.builds(
    SilverChanged,
    operation=st.sampled_from(SilverOperation),
    entity_type=NAMES,
    entity_id=TEXTS,
    version=st.integers(1, 2**63 - 1),
    quality_score=st.none() | st.sampled_from(["0.00", "0.95", "1.00"]),
    quality_flags=st.lists(NAMES, max_size=3).map(tuple),
    merged_into=st.none() | TEXTS,
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.builds(
    RecordChanged,
    change=st.just(RecordChange.UPSERTED),
    source=NAMES,
    entity_type=NAMES,
    external_id=TEXTS,
    scan_id=TEXTS,
    record=st.dictionaries(TEXTS, JSON, max_size=3),
)


def drafts(data: st.SearchStrategy[Any], topic: Any) -> st.SearchStrategy[Draft]:
    return st.builds(
        Draft,
        declared=st.just(topic),
        source=st.just("/100%b"),
        id=TEXTS,
        time=TIMES,
        subject=TEXTS,
        correlationid=TEXTS,
        causationid=st.none() | TEXTS,
        traceparent=TRACES,
        data=data.map(render),
    )


@settings(max_examples=60)
@given(st.lists(drafts(SILVER, SILVER_CHANGED) | drafts(RECORDS, RECORD_CHANGED), max_size=6))
def test_events_of_a_batch_are_the_bytes_that_the_model_makes_of_each(batch: list[Draft]) -> None:
    encoder = DraftEncoder()
    for sequence, draft in enumerate(batch, start=1):
        encoded = encoder.encode(draft, sequence)

        value, headers = encode_event(draft.sign(sequence))
        assert encoded.value == value
        assert json.loads(encoded.headers) == headers
        texts = [*headers, *headers.values()]
        assert encoded.header_bytes == sum(len(text.encode()) for text in texts)


def draft(**changes: Any) -> Draft:
    data = SilverChanged(
        operation=SilverOperation.UPSERTED, entity_type="person", entity_id="1", version=1
    )
    event = Draft(
        declared=SILVER_CHANGED,
        source="/transformer",
        id="e-1",
        time=datetime(2026, 1, 2, tzinfo=UTC),
        subject="person/1",
        correlationid="e-1",
        causationid=None,
        traceparent=None,
        data=render(data),
    )
    return event._replace(**changes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "x" * 513},
        {"subject": "x" * 3001},
        {"correlationid": ""},
        {"causationid": "x" * 513},
        {"traceparent": "x" * 65},
    ],
)
def test_what_the_model_refuses_is_refused_in_a_batch(wrong: dict[str, str]) -> None:
    event = draft(**wrong)
    with pytest.raises(ValidationError):
        event.sign(1)

    with pytest.raises(ValidationError):
        check([draft(), event])


def test_what_the_model_takes_is_taken_in_a_batch() -> None:
    check([draft(), draft(id="x" * 512, subject="x" * 3000, causationid="c", traceparent="t")])


def test_a_form_that_is_not_the_models_is_noticed_with_the_first_event() -> None:
    # The model writes times in UTC, whatever their zone; a clock of another zone shows that the
    # first event of each form is compared.
    moment = datetime.fromisoformat("2026-01-02T00:00:00+02:00")

    with pytest.raises(RuntimeError, match="not rendered as their model says"):
        DraftEncoder().encode(draft(time=moment), 1)


def test_data_that_the_model_renders_otherwise_are_noticed_with_the_first_event() -> None:
    spaced = draft().data.replace(b":", b": ")

    with pytest.raises(RuntimeError, match="not rendered as their model says"):
        DraftEncoder().encode(draft(data=spaced), 1)


def test_data_that_break_the_contract_are_noticed_with_the_first_event() -> None:
    with pytest.raises(ValidationError):
        DraftEncoder().encode(draft(data=draft().data.replace(b'"person"', b'""')), 1)
