"""What an NTSTATUS means for the caller.

Only "not found" proves that a path is gone. Everything that may pass is transient; what we do not
know is permanent, because a message that waits for it would block the ones behind it.
"""

from collections.abc import Mapping

from chassis.errors import PenstockError
from chassis.shares.port import (
    ShareAccessDeniedError,
    ShareBusyError,
    ShareLogonError,
    ShareNotFoundError,
    ShareRefusedError,
    ShareUnavailableError,
    UnsafePathError,
    UnsupportedServerError,
)
from chassis.shares.smb_wire import ConnectionLostError, ShareRefusesAccountError
from contracts.errors import ErrorCategory

NO_MORE_FILES = 0x80000006
NO_SUCH_FILE = 0xC000000F
END_OF_FILE = 0xC0000011
ACCESS_DENIED = 0xC0000022
OBJECT_PATH_NOT_FOUND = 0xC000003A
NOT_SUPPORTED = 0xC00000BB

Meaning = tuple[type[PenstockError], str]

_SERVER_IN_TROUBLE: Mapping[int, Meaning] = {
    0xC000007F: (ShareUnavailableError, "the disk is full"),
    0xC0000120: (ShareUnavailableError, "the server cancelled the request"),
    0xC0000128: (ShareUnavailableError, "the server closed the file"),
    0xC00000B5: (ShareUnavailableError, "the server's disk did not answer in time"),
    0xC000009A: (ShareUnavailableError, "the server is out of resources"),
    0xC0000205: (ShareUnavailableError, "the server is out of resources"),
    0xC00000D0: (ShareUnavailableError, "the server takes no more requests"),
    0xC000026E: (ShareUnavailableError, "the volume was dismounted"),
    0xC0000466: (ShareUnavailableError, "the server is unavailable"),
    0xC00000CC: (ShareUnavailableError, "the server has no such share"),
    0xC000005E: (ShareUnavailableError, "the server reaches no domain controller"),
    0xC0000192: (ShareUnavailableError, "the server's log-on service is not running"),
}

_OPERATION: Mapping[int, Meaning] = {
    **_SERVER_IN_TROUBLE,
    0xC0000034: (ShareNotFoundError, "the name does not exist"),
    OBJECT_PATH_NOT_FOUND: (ShareNotFoundError, "a parent does not exist"),
    0xC0000103: (ShareNotFoundError, "it is not a directory"),
    0xC00000BA: (ShareNotFoundError, "it is a directory"),
    ACCESS_DENIED: (ShareAccessDeniedError, "the account may not use this path"),
    0xC0000043: (ShareBusyError, "another client has the file open"),
    0xC0000054: (ShareBusyError, "another client has locked the file"),
    0xC0000056: (ShareBusyError, "the file is being deleted"),
    0xC0000033: (UnsafePathError, "the server does not accept the name"),
    0xC0000039: (UnsafePathError, "the server does not accept the path"),
    0xC000003B: (UnsafePathError, "the server does not accept the path"),
    0xC0000203: (ConnectionLostError, "the session was deleted"),
    0xC000035C: (ConnectionLostError, "the session expired"),
    0xC00000C9: (ConnectionLostError, "the share was taken away"),
    0xC000020C: (ConnectionLostError, "the server disconnected"),
    0xC0000257: (ShareRefusedError, "the path is a DFS link to another server"),
    0x8000002D: (ShareRefusedError, "the path leads over a symbolic link"),
}

_NEEDS_MORE = "the server demands encryption or a newer dialect"

_LOGON: Mapping[int, Meaning] = {
    **_SERVER_IN_TROUBLE,
    ACCESS_DENIED: (UnsupportedServerError, _NEEDS_MORE),
    NOT_SUPPORTED: (UnsupportedServerError, _NEEDS_MORE),
    0xC0000064: (ShareLogonError, "no such user"),
    0xC000006A: (ShareLogonError, "wrong password"),
    0xC000006D: (ShareLogonError, "wrong user or password"),
    0xC000006E: (ShareLogonError, "the account is restricted"),
    0xC000006F: (ShareLogonError, "the account may not log on at this hour"),
    0xC0000070: (ShareLogonError, "the account may not log on from this machine"),
    0xC0000071: (ShareLogonError, "the password has expired"),
    0xC0000072: (ShareLogonError, "the account is disabled"),
    0xC000015B: (ShareLogonError, "the account may not log on this way"),
    0xC000018C: (ShareLogonError, "the domain is not trusted"),
    0xC000018D: (ShareLogonError, "this machine is not trusted"),
    0xC0000193: (ShareLogonError, "the account has expired"),
    0xC0000224: (ShareLogonError, "the password must be changed"),
    0xC0000234: (ShareLogonError, "the account is locked"),
    0xC0000418: (ShareLogonError, "the server does not accept NTLM"),
}

_TREE: Mapping[int, Meaning] = {
    **_SERVER_IN_TROUBLE,
    ACCESS_DENIED: (
        ShareRefusesAccountError,
        "the account may not use this share, or the share demands encryption",
    ),
}


def operation_error(status: int, path: str, category: ErrorCategory) -> PenstockError:
    """Return the error for a refused operation on `path`."""
    kind, reason = _OPERATION.get(status, (ShareRefusedError, "no status that we know"))
    return kind(_sentence(reason, status), category=category, path=path, status=_hex(status))


def logon_error(status: int) -> PenstockError:
    """Return the error for a refused log-on."""
    kind, reason = _LOGON.get(status, (ShareUnavailableError, "no status that we know"))
    return kind(_sentence(reason, status), status=_hex(status))


def tree_error(status: int) -> PenstockError:
    """Return the error for a share that could not be connected to."""
    kind, reason = _TREE.get(status, (ShareUnavailableError, "no status that we know"))
    return kind(_sentence(reason, status), status=_hex(status))


def _sentence(reason: str, status: int) -> str:
    return f"The server refused: {reason} ({_hex(status)})."


def _hex(status: int) -> str:
    return f"0x{status:08X}"
