"""The errors that decide what the delivery loop does.

    PenstockError
    ├── TransientError          try again later; nothing is wrong with the message
    │   ├── UnavailableError    a dependency does not answer
    │   └── LeaseLostError      another holder took over; stop at once
    └── PermanentError          trying again is useless; the message is a dead letter
        ├── MessageDecodeError  not a readable event or command
        └── SettingsError       the process cannot start with these settings

Any other exception is a bug: logged with its traceback, retried a bounded number of times, then
dead-lettered. A class's docstring is its default message; facts are attributes and become log
fields.
"""

from typing import Any, ClassVar

from contracts.errors import ErrorCategory


class PenstockError(Exception):
    """Something went wrong."""

    default_category: ClassVar[ErrorCategory] = ErrorCategory.MAIN_EXECUTION

    def __init__(
        self, message: str | None = None, /, *, category: ErrorCategory | None = None, **facts: Any
    ) -> None:
        self.message = message or (self.__doc__ or "").strip().splitlines()[0]
        self.category = category or self.default_category
        self.facts = facts
        super().__init__(self.message)


class TransientError(PenstockError):
    """The operation may succeed later."""

    def __init__(
        self,
        message: str | None = None,
        /,
        *,
        retry_after: float | None = None,
        category: ErrorCategory | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, category=category, **facts)
        self.retry_after = retry_after
        """Seconds the other side asked us to wait; None means the usual back-off."""


class UnavailableError(TransientError):
    """A dependency does not answer."""


class LeaseLostError(TransientError):
    """Another holder has taken the lease; work under the old token must stop."""


class PermanentError(PenstockError):
    """The operation cannot succeed, however often it is tried."""


class MessageDecodeError(PermanentError):
    """The message is not a readable event or command."""

    default_category = ErrorCategory.MESSAGE_DECODE


class SettingsError(PermanentError):
    """The settings are incomplete or wrong."""

    default_category = ErrorCategory.ENVIRONMENT_VALIDATION
