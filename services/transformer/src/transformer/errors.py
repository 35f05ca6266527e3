"""Why silver cannot be computed, or a record does not enter it.

PermanentError
├── RuleError            a file of rules cannot be used
├── SilverSchemaError    the database's tables do not fit the rules
└── RejectedRecordError  a record breaks a validation; it is left out and listed
"""

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory


class RuleError(PermanentError):
    """A rule cannot be used."""

    default_category = ErrorCategory.CONFIG_VALIDATION


class SilverSchemaError(PermanentError):
    """The silver tables do not have the columns that the rules fill."""

    default_category = ErrorCategory.DATABASE_LOAD


class RejectedRecordError(PermanentError):
    """The record breaks a validation."""

    default_category = ErrorCategory.CONTENT_VALIDATION
