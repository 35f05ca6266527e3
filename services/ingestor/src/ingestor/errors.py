"""Why a file or a record does not become a bronze version.

PermanentError
├── UnparseableError         the file or record is not what its source should give
│   ├── UnrecognisedError    the element that makes it what it should be is not there
│   └── UnsafeDocumentError  they try to exhaust the parser, or to reach beyond it
├── DocumentTooLargeError    more bytes than the source allows
├── UnknownSourceError       no configured source has that name
├── UnreadableFileError      the file does not rest, or a writer never lets go of it
└── OutdatedParserError      this machine's expat cannot be trusted with foreign documents
TransientError
└── SchemaMovedError         another replica has learnt, or somebody decided, in the meantime
"""

from chassis.errors import PermanentError, TransientError
from contracts.errors import ErrorCategory


class UnparseableError(PermanentError):
    """The file or record is not readable as one of its kind."""

    default_category = ErrorCategory.CONTENT_PARSE


class UnrecognisedError(UnparseableError):
    """The document lacks the element that makes it one of its kind."""


class UnsafeDocumentError(UnparseableError):
    """The document uses what no transcript needs and attackers do."""


class DocumentTooLargeError(PermanentError):
    """The document is over the size limit."""

    default_category = ErrorCategory.MESSAGE_TOO_LARGE


class UnknownSourceError(PermanentError):
    """No configured source has this name, or it has no `ingest` section."""

    default_category = ErrorCategory.CONFIG_VALIDATION


class UnreadableFileError(PermanentError):
    """The file could not be read in the allowed number of attempts."""

    default_category = ErrorCategory.NAS_DOWNLOAD


class VanishedFileError(PermanentError):
    """The file was gone when it was fetched; a scan announces its deletion, or its return."""

    default_category = ErrorCategory.NAS_DOWNLOAD


class OutdatedParserError(PermanentError):
    """The XML parser of this machine is too old to be safe."""

    default_category = ErrorCategory.ENVIRONMENT_VALIDATION


class SchemaMovedError(TransientError):
    """The known schema has changed while a batch was judged; it is judged again."""
