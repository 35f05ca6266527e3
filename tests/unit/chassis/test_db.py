"""What a server's error means for the caller."""

from typing import Any

import asyncpg
import pytest

from chassis.db import REFUSED_RETRY_AFTER, connecting, translate, translated_errors
from chassis.errors import PermanentError, SettingsError, TransientError, UnavailableError
from contracts.errors import ErrorCategory


def server_error(sqlstate: str) -> asyncpg.PostgresError:
    fields: Any = {
        "S": "ERROR",
        "C": sqlstate,
        "M": "it says why",
        "D": "Key (iban)=(DE00) exists.",
    }
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(fields)
    return error


@pytest.mark.parametrize(
    "sqlstate",
    [
        "08006",  # connection failure
        "40001",  # serialization failure
        "40P01",  # deadlock
        "53300",  # too many connections
        "53100",  # disk full
        "55P03",  # lock not available
        "25P03",  # idle in transaction
        "57014",  # cancelled by a timeout
        "57P01",  # shut down
        "57P03",  # starting up
        "58030",  # input/output error
    ],
)
def test_an_outage_is_waited_out(sqlstate: str) -> None:
    error = translate(server_error(sqlstate))

    assert isinstance(error, UnavailableError)
    assert error.retry_after is None
    assert error.facts["sqlstate"] == sqlstate


@pytest.mark.parametrize(
    "sqlstate",
    [
        "28P01",  # wrong password
        "28000",  # unknown role
        "42501",  # no right
        "3D000",  # no such database
        "3F000",  # no such schema
        "42P01",  # no such table: a migration lacks
        "42703",  # no such column
        "42883",  # no such function
        "XX001",  # damaged data
    ],
)
def test_what_an_operator_must_mend_is_tried_rarely_and_throws_nothing_away(sqlstate: str) -> None:
    error = translate(server_error(sqlstate))

    assert isinstance(error, TransientError)
    assert not isinstance(error, UnavailableError)
    assert error.retry_after == REFUSED_RETRY_AFTER == 60


@pytest.mark.parametrize(
    "sqlstate",
    [
        "23505",  # unique violation
        "23502",  # not null violation
        "23514",  # check violation
        "22P02",  # invalid text representation
        "22P05",  # NUL in JSON
        "22021",  # NUL in text
        "54000",  # limit of the program
        "42601",  # syntax error
        "P0001",  # raised by a function
    ],
)
def test_what_the_statement_or_its_values_did_wrong_is_permanent(sqlstate: str) -> None:
    error = translate(server_error(sqlstate))

    assert isinstance(error, PermanentError)
    assert error.category is ErrorCategory.STORAGE


@pytest.mark.covers("S1-28")
@pytest.mark.parametrize("sqlstate", ["08006", "28P01", "23505"])
def test_the_rows_that_a_server_quotes_are_left_out(sqlstate: str) -> None:
    error = translate(server_error(sqlstate))

    assert "it says why" in str(error)
    assert "DE00" not in str(error)


def test_a_value_that_the_server_quotes_is_left_out() -> None:
    fields: Any = {"S": "ERROR", "C": "22P02", "M": 'invalid input syntax: "hunter2"'}

    error = translate(asyncpg.PostgresError.new(fields))

    assert str(error) == "PostgreSQL: a value does not fit (InvalidTextRepresentationError)"


def test_a_plan_that_a_migration_made_stale_is_tried_again() -> None:
    error = translate(asyncpg.InvalidCachedStatementError("cached plan must not change"))

    assert isinstance(error, UnavailableError)


def test_the_network_failing_is_an_outage() -> None:
    for failure in (ConnectionResetError(), TimeoutError(), OSError("no route")):
        with pytest.raises(UnavailableError), translated_errors():
            raise failure


def test_a_file_error_in_somebodys_code_is_not_taken_for_an_outage() -> None:
    with pytest.raises(FileNotFoundError), translated_errors((ConnectionError, TimeoutError)):
        raise FileNotFoundError("a.xml")


def test_an_error_of_our_own_passes_unchanged() -> None:
    ours = PermanentError("mine")

    with pytest.raises(PermanentError) as raised, translated_errors():
        raise ours
    assert raised.value is ours


def test_a_driver_that_lost_its_place_is_an_outage() -> None:
    with pytest.raises(UnavailableError), translated_errors():
        raise asyncpg.InternalClientError("unexpected message")


def test_a_driver_used_wrongly_is_a_bug() -> None:
    with pytest.raises(asyncpg.InterfaceError), translated_errors():
        raise asyncpg.InterfaceError("another operation is in progress")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:hunter2-canary@db:port/x",
        "postgresql://u:hunter2-canary@db/x?sslmode=perhaps",
    ],
)
async def test_an_address_that_cannot_be_used_is_a_problem_of_the_settings(address: str) -> None:
    with (
        pytest.raises(SettingsError, match="`DATABASE_URL` cannot be used") as refusal,
        connecting(),
    ):
        await asyncpg.connect(address, timeout=0.1)

    assert "hunter2" not in str(refusal.value)
    assert refusal.value.facts["problems"] == [str(refusal.value)]
