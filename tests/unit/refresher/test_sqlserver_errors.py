"""Reports of the driver's process as errors."""

import pytest

from chassis.errors import PermanentError, TransientError
from refresher.adapters.sqlserver_errors import (
    SqlServerBusyError,
    SqlServerLostError,
    SqlServerRefusedError,
    to_error,
)
from refresher.errors import RefreshError


def _report(number: int | None, state: str = "", message: str = "m") -> dict[str, object]:
    return {"number": number, "state": state, "message": message, "type": "OperationalError"}


@pytest.mark.parametrize("number", [1205, 1222, 701])
def test_what_gives_way_is_busy(number: int) -> None:
    error = to_error(_report(number), what="query")
    assert isinstance(error, SqlServerBusyError)
    assert isinstance(error, TransientError)
    assert (error.facts["trouble"] == "lock_timeout") is (number == 1222)


def test_a_broken_connection_is_lost() -> None:
    error = to_error(_report(None, "Communication link failure"), what="copy")
    assert isinstance(error, SqlServerLostError)
    assert error.facts == {"number": None, "trouble": "connection", "what": "copy"}


def test_everything_else_is_a_refusal_of_the_database() -> None:
    error = to_error(_report(2627, message="Violation of PRIMARY KEY"), what="query")
    assert isinstance(error, SqlServerRefusedError)
    assert isinstance(error, RefreshError)
    assert isinstance(error, PermanentError)
    assert error.message == "Violation of PRIMARY KEY"


def test_a_driver_that_lacks_a_library_says_which_and_how_to_get_it() -> None:
    message = "Driver Error: Connection operation failed; DDBC Error: Failed to load the driver."
    error = to_error(_report(None, "Connection operation failed", message), what="connect")
    assert "libltdl7" in error.message
    assert "scripts/install-system.sh" in error.message
