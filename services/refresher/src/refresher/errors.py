"""Why a refresh is refused, stopped or tried again.

PermanentError
├── PlanRefusedError     the plan cannot be made, or must not be executed
├── PlanStaleError       the databases are no longer what the plan was made for
├── UnsafeTargetError    what would be written to is not proven to be a UAT database
├── VerificationError    what was loaded is not what the source holds
├── GuardError           the result looks wrong: far fewer rows, or rows of the testers
└── RefreshError         a database refused a statement for good

TransientError
├── SwapBusyError        somebody holds the table; the swap is tried again
└── TableBusyError       another run refreshes the table
"""

from chassis.errors import PermanentError, TransientError
from contracts.errors import ErrorCategory


class PlanRefusedError(PermanentError):
    """The plan is refused."""

    default_category = ErrorCategory.CONFIG_VALIDATION


class PlanStaleError(PermanentError):
    """The databases are no longer what the plan was made for; ask for a new plan."""

    default_category = ErrorCategory.CONTENT_VALIDATION


class UnsafeTargetError(PermanentError):
    """Nothing was written: the target is not proven to be the UAT database."""

    default_category = ErrorCategory.ENVIRONMENT_VALIDATION


class VerificationError(PermanentError):
    """What was loaded is not what the source holds; the target was left as it was."""

    default_category = ErrorCategory.CONTENT_VALIDATION


class GuardError(PermanentError):
    """The result looks wrong; the target was left as it was."""

    default_category = ErrorCategory.DELETION_GUARD


class RefreshError(PermanentError):
    """A database refused a statement."""

    default_category = ErrorCategory.STORAGE


class SwapBusyError(TransientError):
    """The table is in use; the swap did not get its lock in time."""


class TableBusyError(TransientError):
    """Another run refreshes the table."""
