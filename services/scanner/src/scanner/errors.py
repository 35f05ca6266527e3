"""What can go wrong in a scan, beyond what the share and the database say themselves.

PermanentError
├── InventoryError        the known inventory cannot be believed; never treated as an empty one
└── ScanRequestError      a run asks for what the configuration does not have
"""

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory


class InventoryError(PermanentError):
    """The inventory cannot be read, or holds what no scan ever wrote."""

    default_category = ErrorCategory.DATABASE_LOAD


class ScanRequestError(PermanentError):
    """The run asks for a source or a folder that is not configured."""

    default_category = ErrorCategory.CONFIG_VALIDATION
