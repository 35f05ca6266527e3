import pytest

from chassis.errors import PermanentError, TransientError
from chassis.shares.port import (
    ShareAccessDeniedError,
    ShareBusyError,
    ShareLogonError,
    ShareNotFoundError,
    ShareRefusedError,
    ShareUnavailableError,
    UnsafePathError,
    UnsupportedServerError,
)
from chassis.shares.smb_status import logon_error, operation_error, tree_error
from chassis.shares.smb_wire import ConnectionLostError, ShareRefusesAccountError
from contracts.errors import ErrorCategory


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0xC0000034, ShareNotFoundError),
        (0xC000003A, ShareNotFoundError),
        (0xC0000022, ShareAccessDeniedError),
        (0xC0000043, ShareBusyError),
        (0xC0000033, UnsafePathError),
        (0xC000007F, ShareUnavailableError),
        (0xC00000CC, ShareUnavailableError),
        (0xC0000203, ConnectionLostError),
        (0xC0000257, ShareRefusedError),
        (0xC0FFEE00, ShareRefusedError),
    ],
)
def test_a_refused_operation_is_told_as_what_it_is(status: int, expected: type) -> None:
    error = operation_error(status, "d/f", ErrorCategory.NAS_LIST_FILES)
    assert type(error) is expected
    assert error.facts == {"path": "d/f", "status": f"0x{status:08X}"}
    assert error.category is ErrorCategory.NAS_LIST_FILES


def test_only_four_statuses_prove_that_nothing_is_there() -> None:
    every = range(0xC0000000, 0xC0000500)
    found = [
        status
        for status in every
        if isinstance(operation_error(status, "", ErrorCategory.NAS_LIST_FILES), ShareNotFoundError)
    ]
    assert found == [0xC0000034, 0xC000003A, 0xC00000BA, 0xC0000103]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0xC000006D, ShareLogonError),
        (0xC0000234, ShareLogonError),
        (0xC0000418, ShareLogonError),
        (0xC0000022, UnsupportedServerError),
        (0xC00000BB, UnsupportedServerError),
        (0xC000005E, ShareUnavailableError),
        (0xC0FFEE00, ShareUnavailableError),
    ],
)
def test_a_refused_logon_is_told_as_what_it_is(status: int, expected: type) -> None:
    assert type(logon_error(status)) is expected


@pytest.mark.parametrize("status", [0xC0000022, 0xC00000CC, 0xC0FFEE00])
def test_a_share_that_cannot_be_connected_to_is_never_permanent(status: int) -> None:
    error = tree_error(status)
    assert isinstance(error, TransientError)
    assert not isinstance(error, PermanentError)
    assert isinstance(error, ShareRefusesAccountError) == (status == 0xC0000022)
