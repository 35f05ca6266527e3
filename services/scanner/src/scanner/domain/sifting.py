"""Which entries of a directory are mirrored, descended into, passed over or refused.

The share is mirrored as it is (S1-16): nothing is selected or ranked. Left out is only what is no
document: other suffixes, temporary and hidden names, a server's own snapshot folders.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import translate
from typing import Protocol

from scanner.domain.files import Fingerprint, SeenFile, is_believable

DENIED_NAMES = (
    ".*",
    "~$*",
    "*~",
    "*.tmp",
    "*.temp",
    "*.part",
    "*.partial",
    "*.filepart",
    "*.crdownload",
    "*.swp",
    "*.lock",
    "Thumbs.db",
    "desktop.ini",
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    "#recycle",
    "#snapshot",
    "~snapshot",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "lost+found",
)
"""Temporary files of editors and transfer programs, and folders that NAS systems keep for
themselves; a snapshot folder holds every file once more."""

_MANGLED = re.compile(r"[A-Z0-9_]{1,6}~[A-Z0-9]{1,2}(\.[A-Z0-9]{1,3})?")

MAX_PATH_BYTES = 2000
"""A path is an index key and a message key; both have limits a little above this."""


class DirectoryEntry(Protocol):
    """What sifting needs to know of an entry; the share port's `Entry` fits."""

    @property
    def name(self) -> str:
        """The name as the server gives it."""
        ...

    @property
    def is_directory(self) -> bool:
        """Whether it can be listed."""
        ...

    @property
    def modified_us(self) -> int:
        """Last write, microseconds since 1970 UTC."""
        ...

    @property
    def size_bytes(self) -> int:
        """Length of the content."""
        ...

    @property
    def is_hidden(self) -> bool:
        """Whether the server marks it as hidden."""
        ...


class RefusalReason(StrEnum):
    """Why an entry that should be mirrored cannot be."""

    UNSAFE_PATH = "unsafe_path"
    PATH_TOO_LONG = "path_too_long"
    BAD_METADATA = "bad_metadata"
    TOO_DEEP = "too_deep"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that was left out, and has to be reported."""

    path: str
    reason: RefusalReason


class Oddity(StrEnum):
    """What is mirrored all the same, and worth a line in the log."""

    CASE_TWIN = "case_twin"
    """Differs from another path by case only: one file on Windows, two here."""

    MANGLED_NAME = "mangled_name"
    """The server made up a short name (`CTPQ6R~A.XML`) for one that SMB cannot express."""


@dataclass(frozen=True, slots=True)
class Subdirectory:
    """A directory to descend into."""

    path: str
    modified_us: int
    """As the parent's listing showed it: taken before the directory itself is listed."""


@dataclass(slots=True)
class Sifted:
    """A directory's entries, sorted by what is done with them."""

    files: list[SeenFile] = field(default_factory=list)
    subdirectories: list[Subdirectory] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    """Files that are there and not mirrored: their absence from `files` is no deletion."""

    all_subdirectories: list[str] = field(default_factory=list)
    """With those that are not descended into: what is missing here is gone."""

    refusals: list[Refusal] = field(default_factory=list)
    oddities: list[tuple[str, Oddity]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SiftRules:
    """How a source is sifted."""

    suffixes: tuple[str, ...] = (".xml",)
    """Compared without case: a server may show `CTPQ6R~A.XML` for a name it cannot express."""

    denied: tuple[str, ...] = DENIED_NAMES
    """Glob patterns for names of files and folders, compared without case."""

    takes_hidden: bool = False
    max_depth: int = 16
    """Levels of folders below a scanned root. Links may form a loop; the known layout ends it."""

    def denied_pattern(self) -> re.Pattern[str]:
        """Return one expression for all denied names."""
        return re.compile("|".join(translate(name.lower()) for name in self.denied) or r"(?!)")


class Sieve:
    """Applies the rules of one source."""

    def __init__(self, rules: SiftRules, is_safe: Callable[[str], bool]) -> None:
        self._rules = rules
        self._suffixes = tuple(suffix.lower() for suffix in rules.suffixes)
        self._denied = rules.denied_pattern()
        self._is_safe = is_safe
        """Decides whether a path may be sent to a share and used as a key."""

    def sift(self, directory: str, depth: int, entries: Iterable[DirectoryEntry]) -> Sifted:
        """Sort the entries of `directory`, which lies `depth` levels below its scanned root."""
        sifted = Sifted()
        folded: set[str] = set()
        for entry in entries:
            path = f"{directory}/{entry.name}" if directory else entry.name
            if entry.is_directory:
                self._sift_directory(sifted, path, entry, depth=depth)
            elif self._sift_file(sifted, path, entry):
                self._note_oddities(sifted, folded, path, entry.name)
        return sifted

    def _is_denied(self, entry: DirectoryEntry) -> bool:
        hidden = entry.is_hidden and not self._rules.takes_hidden
        return hidden or self._denied.match(entry.name.lower()) is not None

    def _sift_directory(
        self, sifted: Sifted, path: str, entry: DirectoryEntry, *, depth: int
    ) -> None:
        reason = self._refuse(path)
        if reason is None or reason is RefusalReason.PATH_TOO_LONG:
            sifted.all_subdirectories.append(path)
        if self._is_denied(entry):
            return
        if reason is None and depth >= self._rules.max_depth:
            reason = RefusalReason.TOO_DEEP
        if reason is not None:
            sifted.refusals.append(Refusal(path, reason))
            return
        sifted.subdirectories.append(Subdirectory(path, entry.modified_us))

    def _sift_file(self, sifted: Sifted, path: str, entry: DirectoryEntry) -> bool:
        wanted = entry.name.lower().endswith(self._suffixes) and not self._is_denied(entry)
        reason = self._refuse(path)
        if reason is None and not is_believable(entry.modified_us, entry.size_bytes):
            reason = RefusalReason.BAD_METADATA
        if wanted and reason is None:
            fingerprint = Fingerprint(entry.modified_us, entry.size_bytes)
            sifted.files.append(SeenFile(path, fingerprint))
            return True
        if wanted and reason is not None:
            sifted.refusals.append(Refusal(path, reason))
        if reason in (None, RefusalReason.BAD_METADATA):
            sifted.present.append(path)
        return False

    def _refuse(self, path: str) -> RefusalReason | None:
        if not self._is_safe(path):
            return RefusalReason.UNSAFE_PATH
        if len(path.encode()) > MAX_PATH_BYTES:
            return RefusalReason.PATH_TOO_LONG
        return None

    @staticmethod
    def _note_oddities(sifted: Sifted, folded: set[str], path: str, name: str) -> None:
        key = path.casefold()
        if key in folded:
            sifted.oddities.append((path, Oddity.CASE_TWIN))
        folded.add(key)
        if _MANGLED.fullmatch(name):
            sifted.oddities.append((path, Oddity.MANGLED_NAME))
