"""SQL Server's errors as the two kinds that decide what happens next.

TransientError
├── SqlServerBusyError      a deadlock, a lock that was not granted, a server without resources
├── SqlServerLostError      the connection broke, or a statement took too long
│   ├── DriverDiedError     the driver's process ended
│   └── DriverSilentError   the driver's process was killed because it said nothing
RefreshError
└── SqlServerRefusedError   everything else: the same statement would fail again
"""

from collections.abc import Mapping
from typing import Any

from chassis.errors import PenstockError, TransientError, UnavailableError
from contracts.errors import ErrorCategory
from refresher.domain.tsql_errors import Trouble, trouble
from refresher.errors import RefreshError

_NOT_LOADED = "Failed to load the driver"
_HOW_TO_LOAD = (
    "the SQL Server driver cannot be loaded: it needs the libraries libltdl.so.7 and "
    "libgssapi_krb5.so.2, which scripts/install-system.sh installs (Debian: libltdl7, "
    "libgssapi-krb5-2)"
)


class SqlServerBusyError(TransientError):
    """SQL Server chose another statement over this one."""

    default_category = ErrorCategory.STORAGE


class SqlServerLostError(UnavailableError):
    """SQL Server does not answer, or the connection broke."""

    default_category = ErrorCategory.STORAGE


class DriverDiedError(SqlServerLostError):
    """The process that holds the SQL Server driver ended."""

    def __init__(self, *, exit_code: int | None) -> None:
        super().__init__(exit_code=exit_code)


class DriverSilentError(SqlServerLostError):
    """The process that holds the SQL Server driver said nothing for too long."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__(seconds=seconds)


class SqlServerRefusedError(RefreshError):
    """SQL Server refused the statement."""

    default_category = ErrorCategory.STORAGE


def to_error(report: Mapping[str, Any], *, what: str) -> PenstockError:
    """Return the error that a driver process reported."""
    if _NOT_LOADED in report["message"]:
        return SqlServerRefusedError(_HOW_TO_LOAD, what=what)
    kind = trouble(report["number"], state=report["state"], message=report["message"])
    facts = {"number": report["number"], "trouble": kind.value, "what": what}
    if kind in {Trouble.CONNECTION, Trouble.TIMEOUT}:
        return SqlServerLostError(report["message"], **facts)
    if kind.passes:
        return SqlServerBusyError(report["message"], **facts)
    return SqlServerRefusedError(report["message"], **facts)
