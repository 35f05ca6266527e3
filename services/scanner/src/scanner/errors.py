"""What can go wrong in a scan, beyond what the share and the database say themselves.

PermanentError
├── InventoryError        the known inventory cannot be believed; never treated as an empty one
├── ScanRequestError      a run asks for what the configuration does not have
├── UniverseError         the set of records moved further than its band allows
└── SourceRefusedError    a record source refuses the credentials or the request
"""

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory


class InventoryError(PermanentError):
    """The inventory cannot be read, or holds what no scan ever wrote."""

    default_category = ErrorCategory.DATABASE_LOAD


class ScanRequestError(PermanentError):
    """The run asks for a source or a folder that is not configured."""

    default_category = ErrorCategory.CONFIG_VALIDATION


class UniverseError(PermanentError):
    """The set of records moved further than its band allows."""

    default_category = ErrorCategory.CONTENT_VALIDATION


class SourceRefusedError(PermanentError):
    """The record source refuses the credentials or the request."""

    default_category = ErrorCategory.SOURCE_REQUEST
