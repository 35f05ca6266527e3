"""What can go wrong in a sync, by what the sync does about it.

TransientError
├── SourceUnavailableError    the archive does not answer: three attempts, then the run is resumed
├── QueryTimeoutError         a statement was cancelled: the next partition, and this one stays due
├── LockAcquisitionError      another writer holds the data set
├── LockRecoveryError         a stale lock could not be taken over
├── SyncIncompleteError       some partitions are still due; what is done is kept
├── LockLostError             another writer has taken over; nothing more may be written
├── DiskFullError             no room: temporary files are quarantined, the run ends
└── DiskFailedError           a write or its sync failed: nothing of it counts, the run ends
PermanentError
├── SourceRefusedError        credentials, rights, or an object that the archive does not have
├── UnstorableValueError      a value that no exact column type holds; names the column
├── MalformedLockFileError    a lock file that nobody of ours wrote
├── SchemaError               a column was removed or retyped
├── ValidationError           a partition breaks a rule of its data set
├── ChecksumError             a file does not hold what was written to it
├── ManifestError             a manifest cannot be read, or disagrees with the schema registry
└── DatasetConfigError        the data set configuration is wrong
"""

from chassis.errors import PermanentError, TransientError
from contracts.errors import ErrorCategory


class SourceUnavailableError(TransientError):
    """The archive does not answer."""

    default_category = ErrorCategory.STORAGE


class QueryTimeoutError(TransientError):
    """The archive took longer than a statement may; it was cancelled there."""

    default_category = ErrorCategory.STORAGE


class LockAcquisitionError(TransientError):
    """Another writer holds the data set."""


class LockRecoveryError(TransientError):
    """A stale lock could not be taken over."""


class LockLostError(TransientError):
    """Another writer has taken over the data set; nothing more may be written."""


class SyncIncompleteError(TransientError):
    """Some partitions are still due."""


class DiskFullError(TransientError):
    """There is no room left."""

    default_category = ErrorCategory.STORAGE


class DiskFailedError(TransientError):
    """The disk does not keep what is written to it."""

    default_category = ErrorCategory.STORAGE


class SourceRefusedError(PermanentError):
    """The archive refuses the log-on or the object."""

    default_category = ErrorCategory.CONFIG_VALIDATION


class UnstorableValueError(PermanentError):
    """A value does not fit the column's exact type."""

    default_category = ErrorCategory.CONTENT_VALIDATION


class MalformedLockFileError(PermanentError):
    """A lock file is not one of ours."""

    default_category = ErrorCategory.CONTENT_PARSE


class SchemaError(PermanentError):
    """A column of the data set was removed or retyped."""

    default_category = ErrorCategory.CONTENT_VALIDATION


class ValidationError(PermanentError):
    """A partition breaks a rule of its data set."""

    default_category = ErrorCategory.CONTENT_VALIDATION


class ChecksumError(PermanentError):
    """A file does not hold what was written to it."""

    default_category = ErrorCategory.STORAGE


class ManifestError(PermanentError):
    """A manifest cannot be read, or disagrees with the schema registry."""

    default_category = ErrorCategory.CONTENT_PARSE


class DatasetConfigError(PermanentError):
    """The data set configuration is wrong."""

    default_category = ErrorCategory.CONFIG_VALIDATION
