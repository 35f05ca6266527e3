"""What errors of SQL Server mean."""

import pytest

from refresher.domain.tsql_errors import Trouble, number_in, trouble


@pytest.mark.covers("S4-13")
@pytest.mark.parametrize("number", [1205, 1222, 701, 8645, 40197, 40501, 49920, 10054, 233, 3960])
def test_an_error_that_passes_may_be_tried_again(number: int) -> None:
    assert trouble(number).passes


@pytest.mark.covers("C-28")
@pytest.mark.parametrize(
    "number", [2627, 547, 2628, 8152, 208, 229, 4947, 11406, 9002, 1105, 18456]
)
def test_an_error_that_would_come_again_is_permanent(number: int) -> None:
    assert trouble(number) is not Trouble.OTHER
    assert not trouble(number).passes


def test_an_unknown_error_is_permanent() -> None:
    assert trouble(50000) is Trouble.OTHER
    assert not Trouble.OTHER.passes


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("Serialization failure", Trouble.DEADLOCK),
        ("Timeout expired", Trouble.TIMEOUT),
        ("Communication link failure", Trouble.CONNECTION),
        ("Invalid authorization specification", Trouble.LOGIN),
    ],
)
def test_without_a_number_the_driver_s_words_decide(state: str, expected: Trouble) -> None:
    assert trouble(None, state=state) is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Timeout Error: Elapsed: deadline has elapsed", Trouble.TIMEOUT),
        ("Connection closed: Connection closed by server", Trouble.CONNECTION),
        ("IO error: Broken pipe (os error 32)", Trouble.CONNECTION),
        ("String length (51) exceeds schema size", Trouble.VALUE),
        ("Function sequence error", Trouble.TIMEOUT),
    ],
)
def test_the_bulk_loader_is_known_by_its_texts(message: str, expected: Trouble) -> None:
    assert trouble(None, message=message) is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("canceling statement due to lock timeout", Trouble.LOCK_TIMEOUT),
        ("could not serialize access due to concurrent update", Trouble.DEADLOCK),
    ],
)
def test_a_server_without_numbers_is_known_by_its_texts(message: str, expected: Trouble) -> None:
    assert trouble(33557097, message=message) is expected


def test_the_bulk_loader_writes_the_number_into_its_message() -> None:
    assert number_in("Sql Error: 2627: Class 14: State 1: Violation of ...") == 2627
    assert number_in("something else") is None
