"""Which paths the hub is willing to send to a share.

A path comes from a listing, a command or a configuration file, and ends in an `open` on somebody
else's server: whatever could leave the root, or read differently there, is refused. Paths are
checked, never repaired; the only exception is the spelling of configured base paths.
"""

import re
import unicodedata

from chassis.shares.port import UnsafePathError

MAX_PART_BYTES = 255
"""What Linux file systems take for one name."""

MAX_DEPTH = 32
"""Deeper than any layout we know, and a loop of links ends there."""

_DRIVE_LETTER = re.compile(r"[A-Za-z]:")
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp", "Cs"})
"""Controls, line and paragraph separators (they forge log lines), and half characters."""


def validate_file_path(path: str) -> str:
    """Return `path` unchanged if it is safe below a share's root (S1-25).

    The compatibility form (NFKC) must be safe as well: a server, or a program after us, may fold
    full-width dots and slashes into the ones that matter.

    Raises:
        UnsafePathError: it climbs, is absolute, names a drive, has control characters or
            backslashes, or is too long or too deep.
    """
    _check(path, path)
    folded = unicodedata.normalize("NFKC", path)
    if folded != path:
        _check(folded, path)
        if folded.count("/") != path.count("/"):
            raise _unsafe(path, "has a character that folds into a slash")
    for part in path.split("/"):
        if len(part.encode()) > MAX_PART_BYTES:
            raise _unsafe(path, f"has a name of more than {MAX_PART_BYTES} bytes")
    return path


def validate_nas_path(path: str) -> str:
    r"""Return a configured base path in the form that shares use (S1-26).

    Operators write `\\Finance\Calls\`, `/Finance/Calls` or `Finance/Calls`; all mean the same
    folder below the share. An empty path, or a lone slash, is the share itself.

    Raises:
        UnsafePathError: as in `validate_file_path`.
    """
    spelled = path.strip().replace("\\", "/").strip("/")
    return validate_file_path(spelled) if spelled else ""


def validate_directory_path(path: str) -> str:
    """Return `path` unchanged if it is safe; the empty string is the root.

    Raises:
        UnsafePathError: as in `validate_file_path`.
    """
    return validate_file_path(path) if path else path


def join(*parts: str) -> str:
    """Join paths, leaving out empty ones, which mean the root."""
    return "/".join(part for part in parts if part)


def _check(path: str, shown: str) -> None:
    if "\\" in path:
        raise _unsafe(shown, "has a backslash")
    # Printable text has no controls; asking once is what keeps a million paths cheap.
    if not path.isprintable() and any(
        unicodedata.category(character) in _CONTROL_CATEGORIES for character in path
    ):
        raise _unsafe(shown, "has a control character")
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        raise _unsafe(shown, f"is more than {MAX_DEPTH} levels deep")
    for part in parts:
        # Windows drops dots and spaces at the end of a name, so `.. ` climbs there as well.
        if not part.rstrip(". "):
            raise _unsafe(shown, "is absolute, climbs, or has an empty name")
        if _DRIVE_LETTER.match(part):
            raise _unsafe(shown, "names a drive")


def _unsafe(path: str, reason: str) -> UnsafePathError:
    # `ascii` keeps what makes the path dangerous out of the message.
    return UnsafePathError(f"The path {reason}: {path[:200]!a}", reason=reason)
