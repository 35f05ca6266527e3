"""The section `records` of an API: what fits together, and what is put into requests."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from chassis.http.errors import ApiBodyError
from scanner.adapters.http_bodies import records_of, total_of
from scanner.adapters.http_calls import day_params, filled, since_text
from scanner.settings.http import Body, Call, DayRange, HttpRecords, SinceParameter

API = {"base_url": "https://api.example.org/v1/"}
EACH = {"source": "tickers", "item_field": "symbol"}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"call": {"path": "/a/{item}"}}, "there is no `for_each`"),
        ({"call": {"path": "/a"}, "for_each": EACH}, "needs `{item}`"),
        (
            {"call": {"path": "/{item}", "paging": {"by": "link"}}, "for_each": EACH},
            "goes without",
        ),
        ({"call": {"path": "/a"}, "days": {"start": "2024-01-01"}}, "need `for_each`"),
        ({"call": {"path": "/{item}"}, "for_each": EACH, "series": {}}, "needs `days`"),
        ({"call": {"path": "/a?key=1"}}, "call.path"),
        ({"call": {"path": "a"}}, "call.path"),
        ({"call": {"path": "/a", "method": "DELETE"}}, "call.method"),
    ],
)
def test_what_does_not_fit_together_is_told(section: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        HttpRecords.model_validate({"kind": "http", "api": API, **section})


@pytest.mark.covers("S1-28")
@pytest.mark.parametrize(
    "address",
    ["https://user:pw@api.example.org", "https://api.example.org?apikey=1", "ftp://a", "a.org"],
)
def test_an_address_holds_no_credentials(address: str) -> None:
    with pytest.raises(ValidationError, match="is not of the form") as caught:
        HttpRecords.model_validate(
            {"kind": "http", "api": {"base_url": address}, "call": {"path": "/a"}}
        )
    assert "pw" not in str(caught.value.errors(include_input=False))


@pytest.mark.covers("S1-28")
def test_a_secret_cannot_stand_in_the_file() -> None:
    auth = {"kind": "bearer", "token": "eyJhbGciOi"}

    with pytest.raises(ValidationError, match="token"):
        HttpRecords.model_validate(
            {"kind": "http", "api": API | {"auth": auth}, "call": {"path": "/a"}}
        )


def test_the_credential_is_called_by_its_names() -> None:
    auth = {"kind": "basic", "username": "env:API_USERNAME", "password": "env:API_PASSWORD"}
    config = HttpRecords.model_validate(
        {"kind": "http", "api": API | {"auth": auth}, "call": {"path": "/a"}}
    )

    assert config.api.credential() == "API_PASSWORD+API_USERNAME"
    assert config.api.base_url == "https://api.example.org/v1"


def test_an_item_is_quoted_in_a_path_and_left_alone_in_a_parameter() -> None:
    call = Call(path="/prices/{item}", params={"symbol": "{item}", "limit": "5"})

    found = filled(call, "BRK.B/../x?y")

    assert found.path == "/prices/BRK.B%2F..%2Fx%3Fy"
    assert found.params == {"symbol": "BRK.B/../x?y", "limit": "5"}


@pytest.mark.covers("S3-02")
def test_days_are_asked_for_from_the_cursor_and_never_before_the_start() -> None:
    days = DayRange(start=date(2025, 1, 1))
    today = date(2025, 5, 13)

    assert day_params(days, first=None, today=today) == {"from": "2025-01-01", "to": "2025-05-13"}
    assert day_params(days, first=date(2025, 5, 8), today=today)["from"] == "2025-05-08"
    assert day_params(days, first=date(2020, 1, 1), today=today)["from"] == "2025-01-01"
    assert day_params(None, first=date(2020, 1, 1), today=today) == {}


@pytest.mark.covers("S2-15")
def test_a_cursor_is_rendered_as_the_source_wants_it() -> None:
    cursor = "2025-05-13T08:00:00.000000Z"

    assert since_text(SinceParameter(param="a", field="b"), cursor) == cursor
    assert since_text(SinceParameter(param="a", field="b", format="date"), cursor) == "2025-05-13"


@pytest.mark.parametrize(
    ("data", "form", "expected"),
    [
        ([{"a": 1}], {}, [{"a": 1}]),
        ({"a": 1}, {}, [{"a": 1}]),
        ({}, {}, []),
        ({}, {"record_path": "historical"}, []),
        (None, {}, []),
        ({"x": {"y": [{"a": 1}]}}, {"record_path": "x.y"}, [{"a": 1}]),
        (
            {"symbol": "A", "historical": [{"date": "d"}]},
            {"record_path": "historical", "inherit": {"symbol": "symbol"}},
            [{"symbol": "A", "date": "d"}],
        ),
    ],
)
def test_records_are_taken_from_where_they_are(
    data: Any, form: dict[str, Any], expected: list[Any]
) -> None:
    assert records_of(data, Body(**form)) == expected


@pytest.mark.parametrize(
    ("data", "form"),
    [
        ({"other": []}, {"record_path": "items"}),
        ("text", {}),
        ([1, 2], {}),
        ({"items": "none"}, {"record_path": "items"}),
    ],
)
def test_a_body_of_another_shape_is_an_error_and_no_empty_list(
    data: Any, form: dict[str, Any]
) -> None:
    with pytest.raises(ApiBodyError):
        records_of(data, Body(**form))


def test_a_csv_reads_like_the_json_of_the_same_api() -> None:
    form = Body(format="csv", numbers=("dcf", "Stock Price"))
    text = '"symbol","date","dcf","Stock Price"\n"A","2025-10-26","125.44","258"\n"B","x","",""\n'

    assert records_of(text, form) == [
        {"symbol": "A", "date": "2025-10-26", "dcf": 125.44, "Stock Price": 258},
        {"symbol": "B", "date": "x", "dcf": None, "Stock Price": None},
    ]


@pytest.mark.parametrize("text", ['"symbol","date"\n', 'symbol,dcf\n"A"\n', 'symbol,dcf\n"A,1\n'])
def test_a_csv_that_is_cut_or_lacks_a_column_is_an_error(text: str) -> None:
    with pytest.raises(ApiBodyError):
        records_of(text, Body(format="csv", numbers=("dcf",)))


def test_a_total_is_believed_when_it_is_a_number() -> None:
    form = Body(total_path="meta.total")

    assert total_of({"meta": {"total": 7}}, form) == 7
    assert total_of({"meta": {"total": "many"}}, form) is None
    assert total_of([], Body()) is None
