"""What PostgreSQL and the network report, as what the sync can do about it."""

import contextlib
import ssl
from collections.abc import Iterator

import asyncpg

from wrds_sync.errors import (
    QueryTimeoutError,
    SourceRefusedError,
    SourceUnavailableError,
    UnstorableValueError,
)

_REFUSED_CLASSES = ("28", "42", "3D", "3F", "0A", "25")
"""Log-on, rights, names and syntax: the same statement fails again. A wrong password above all must
not be tried again by itself, or the account is locked."""

_DATA_CLASSES = ("22",)
_CANCELLED = "57014"


@contextlib.contextmanager
def translated(network: tuple[type[OSError], ...] = (ConnectionError,)) -> Iterator[None]:
    """Turn what the driver raises into the errors of the port.

    Args:
        network: What else means that the archive does not answer. While a connection is being made
            any `OSError` does; around a copy it may be about the file.

    Raises:
        SourceUnavailableError: no answer, the connection was lost, or the server is busy.
        QueryTimeoutError: the server cancelled the statement.
        SourceRefusedError: log-on, rights, names or certificate.
        UnstorableValueError: the server cannot write a value in the form asked for.
    """
    unanswered: tuple[type[Exception], ...] = (*network, asyncpg.InternalClientError)
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _translate(error) from error
    except ssl.SSLCertVerificationError as error:
        raise SourceRefusedError(
            f"the archive's certificate is not trusted: {error.verify_message}"
        ) from error
    except TimeoutError as error:
        raise SourceUnavailableError("the archive does not answer in time") from error
    except unanswered as error:
        raise SourceUnavailableError(f"the archive does not answer: {error}") from error
    except asyncpg.InterfaceError as error:
        # The connection ended while it was in use; a wrong use of the driver shows in tests.
        raise SourceUnavailableError(f"the connection was lost: {error}") from error


def _translate(
    error: asyncpg.PostgresError,
) -> SourceUnavailableError | QueryTimeoutError | SourceRefusedError | UnstorableValueError:
    state = error.sqlstate or ""
    if state == _CANCELLED:
        return QueryTimeoutError("the archive cancelled the statement", sqlstate=state)
    if type(error) is asyncpg.DataError:  # the driver's own; the server's are its children
        return SourceRefusedError("a parameter does not fit the statement", sqlstate=state)
    if state.startswith(_DATA_CLASSES):
        # The server's text may quote the value, and the data are licensed.
        return UnstorableValueError(
            f"the archive cannot write a value: {type(error).__name__}", sqlstate=state
        )
    text = str(error.args[0]) if error.args else type(error).__name__
    if state.startswith(_REFUSED_CLASSES):
        return SourceRefusedError(f"the archive refuses: {text}", sqlstate=state)
    return SourceUnavailableError(f"the archive: {text}", sqlstate=state)
