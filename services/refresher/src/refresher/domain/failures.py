"""What several tasks failed of, as one error: the first is the cause, the rest its consequence."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def first_failure() -> Iterator[None]:
    """Raise the first error of a group instead of the group."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from error.__cause__
