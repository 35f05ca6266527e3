"""Errors of a task group, as the one error that decides."""

import asyncio

from wrds_sync.errors import LockLostError


def decisive(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return a lost lock before all else, then the first real error."""
    leaves = list(_leaves(group))
    for error in leaves:
        if isinstance(error, LockLostError):
            return error
    return next(
        (item for item in leaves if not isinstance(item, asyncio.CancelledError)), leaves[0]
    )


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]
