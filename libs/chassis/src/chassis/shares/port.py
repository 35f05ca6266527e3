"""What the hub asks of a share; adapters in this package answer to one contract suite.

Paths are relative to the share's root, `/`-separated, without a leading `/`; the root itself is
the empty string. Names are kept as the server gives them: no Unicode normalisation, no change of
case; a name may even have half a character (a lone surrogate), which no path may have. Whoever
joins names to paths asks `chassis.shares.paths.validate_file_path`, as every call here does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chassis.errors import PermanentError, TransientError
from contracts.errors import ErrorCategory


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory."""

    name: str
    is_directory: bool
    modified_us: int
    """Last write, in microseconds since 1970 UTC; an integer, because floats do not compare."""

    size_bytes: int
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file as it was read in one go."""

    data: bytes
    modified_us: int
    """Last write when reading ended."""


@dataclass(frozen=True, slots=True)
class ShareDescription:
    """What was negotiated; shown at start and on health pages.

    Holds no address and no secret.
    """

    kind: str
    """`smb` or `local`."""

    backend: str
    """`pysmb`, `smbprotocol` or `filesystem`."""

    dialect: str
    is_signed: bool
    is_encrypted: bool
    verifies_signatures: bool


class Share(Protocol):
    """A share that is read in parallel by up to `connections` calls at a time.

    Raises, from every call: `ShareUnavailableError` (connection lost, time-out), `ShareLogonError`
    (credentials refused), `ShareAccessDeniedError`, `ShareNotFoundError`, `ShareRefusedError`,
    `UnsafePathError`, and `ShareBusyError` where a writer holds the file. "Not found" is said only
    while the root itself is there: a volume that is not mounted is unavailable.
    """

    async def list_directory(self, path: str) -> Sequence[Entry]:
        """Return every entry of a directory, without `.` and `..`; complete, or an error."""
        ...

    async def stat(self, path: str) -> Entry:
        """Return one entry; used to prove that a file is gone (`ShareNotFoundError`).

        The name must match in case, also on servers that open files in any case.
        """
        ...

    async def read_file(self, path: str, *, max_bytes: int) -> FileContent:
        """Read a whole file.

        Raises:
            FileTooLargeError: it has more than `max_bytes`; nothing more was read.
            FileChangedError: it changed while it was read.
        """
        ...

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file so that readers see the old or the new one; parents are created.

        A connection that is lost half way may leave a hidden `.penstock-….tmp` beside it.
        """
        ...

    async def make_directories(self, path: str) -> None:
        """Create a directory and its parents; existing ones are fine."""
        ...

    async def describe(self) -> ShareDescription:
        """Connect if need be, and tell what was negotiated."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class ShareUnavailableError(TransientError):
    """The share does not answer."""

    default_category = ErrorCategory.NAS_CONNECTION


class ShareLogonError(TransientError):
    """The share refuses the credentials; retried rarely, because accounts get locked."""

    default_category = ErrorCategory.NAS_CONNECTION


class ShareBusyError(TransientError):
    """A writer holds the file."""

    default_category = ErrorCategory.NAS_DOWNLOAD


class FileChangedError(TransientError):
    """The file changed while it was read."""

    default_category = ErrorCategory.NAS_DOWNLOAD


class ShareAccessDeniedError(PermanentError):
    """The account may not read this path."""

    default_category = ErrorCategory.NAS_LIST_FILES


class ShareNotFoundError(PermanentError):
    """The path does not exist on the share."""

    default_category = ErrorCategory.NAS_DOWNLOAD


class FileTooLargeError(PermanentError):
    """The file is over the size limit."""

    default_category = ErrorCategory.MESSAGE_TOO_LARGE


class ShareRefusedError(PermanentError):
    """The server refuses the operation for a reason that will not pass, such as a DFS link."""

    default_category = ErrorCategory.NAS_DOWNLOAD


class UnsafePathError(PermanentError):
    """The path could leave the share's root, or has characters that no path may have."""

    default_category = ErrorCategory.PATH_VALIDATION


class UnsupportedServerError(PermanentError):
    """The server demands what this client library cannot do (SMB 2.1 or later, encryption)."""

    default_category = ErrorCategory.NAS_CONNECTION
