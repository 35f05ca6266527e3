"""Which errors of SQL Server pass by themselves, by number.

Messages are translated into the server's language, numbers are not. What is not listed here is
permanent: trying a wrong statement again only hides it.
"""

import re
from enum import StrEnum


class Trouble(StrEnum):
    """What an error means for whoever asked."""

    DEADLOCK = "deadlock"
    LOCK_TIMEOUT = "lock_timeout"
    BUSY = "busy"
    """The server has no memory, no worker or no quota for this at the moment."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    LOGIN = "login"
    PERMISSION = "permission"
    CONSTRAINT = "constraint"
    """A key, a check or a reference refuses the rows."""

    VALUE = "value"
    """A value does not fit its column."""

    MISSING = "missing"
    """A table, a column or a procedure does not exist."""

    SWITCH = "switch"
    """A partition switch or a truncation whose conditions are not met."""

    FULL = "full"
    """The disk, the file group or the transaction log."""

    OTHER = "other"

    @property
    def passes(self) -> bool:
        """Return whether another attempt can succeed."""
        return self in _PASSING


_PASSING = frozenset(
    {
        Trouble.DEADLOCK,
        Trouble.LOCK_TIMEOUT,
        Trouble.BUSY,
        Trouble.CONNECTION,
        Trouble.TIMEOUT,
    }
)

_NUMBERS = {
    Trouble.DEADLOCK: {1205, 3960, 3961},
    Trouble.LOCK_TIMEOUT: {1222},
    Trouble.BUSY: {701, 8645, 8651, 10928, 10929, 40197, 40501, 40613, 49918, 49919, 49920},
    Trouble.CONNECTION: {53, 64, 121, 233, 596, 6005, 10053, 10054, 10060, 40143},
    Trouble.LOGIN: {4060, 4064, 18452, 18456, 18470, 18487, 18488},
    Trouble.PERMISSION: {229, 230, 262, 297, 300, 916, 1088, 3701, 15151, 15247},
    Trouble.CONSTRAINT: {515, 547, 1505, 1750, 2601, 2627},
    Trouble.VALUE: {220, 241, 242, 245, 248, 2628, 8114, 8115, 8152},
    Trouble.MISSING: {207, 208, 2706, 2812, 4902, 15225},
    Trouble.SWITCH: {4712, 11406, *range(4900, 4902), *range(4903, 5000)},
    Trouble.FULL: {1101, 1105, 9002},
}
_BY_NUMBER = {number: trouble for trouble, numbers in _NUMBERS.items() for number in numbers}

_BY_STATE = {
    "serialization failure": Trouble.DEADLOCK,
    "timeout expired": Trouble.TIMEOUT,
    "communication link failure": Trouble.CONNECTION,
    "client unable to establish connection": Trouble.CONNECTION,
    "invalid authorization specification": Trouble.LOGIN,
    "integrity constraint violation": Trouble.CONSTRAINT,
    "base table or view not found": Trouble.MISSING,
    "column not found": Trouble.MISSING,
}
"""What the driver says in place of an SQLSTATE; always in English."""

_BULK_NUMBER = re.compile(r"Sql Error: (\d+):")
_BULK_TEXTS = {
    "Timeout Error": Trouble.TIMEOUT,
    "Connection closed": Trouble.CONNECTION,
    "Communication link failure": Trouble.CONNECTION,
    # What the reader says after its statement was ended by the time limit.
    "Function sequence error": Trouble.TIMEOUT,
    "Connection Error": Trouble.CONNECTION,
    "IO error": Trouble.CONNECTION,
    "exceeds schema size": Trouble.VALUE,
    "out of range": Trouble.VALUE,
}

_POSTGRES_TEXTS = {
    "canceling statement due to lock timeout": Trouble.LOCK_TIMEOUT,
    "could not obtain lock": Trouble.LOCK_TIMEOUT,
    "could not serialize access": Trouble.DEADLOCK,
    "deadlock detected": Trouble.DEADLOCK,
}
"""What servers of PostgreSQL that speak T-SQL say where they know no number of SQL Server's."""


def number_in(message: str) -> int | None:
    """Return the error number that the bulk loader writes into its message."""
    found = _BULK_NUMBER.search(message)
    return int(found.group(1)) if found else None


def trouble(number: int | None, *, state: str = "", message: str = "") -> Trouble:
    """Return what an error means.

    Args:
        number: The server's number, 0 or None when it could not be asked.
        state: The driver's words for the SQLSTATE.
        message: What the bulk loader says, which has no other words, or a server without numbers.
    """
    if number in _BY_NUMBER:
        return _BY_NUMBER[number]
    if state.lower() in _BY_STATE:
        return _BY_STATE[state.lower()]
    known = (kind for text, kind in (_BULK_TEXTS | _POSTGRES_TEXTS).items() if text in message)
    return next(known, Trouble.OTHER)
