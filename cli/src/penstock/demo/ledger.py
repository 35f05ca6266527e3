"""What was done to the share, and what must come of it: the other side of the demo's sums."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from penstock.demo.documents import Document, is_readable, read_document

_FULL = Decimal("1.00")
_NO_SOURCE = Decimal("0.10")
_NO_FIELD = Decimal("0.05")
_CONTRADICTION = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Quality:
    """The scores and flags of all silver rows."""

    scores: tuple[Decimal, ...] = ()
    flags: dict[str, int] = field(default_factory=dict)
    """How many rows carry each flag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything the demo counts, once as the inputs imply it and once as the hub shows it."""

    files: int = 0
    """On the share now, and known to the scanner."""

    added: int = 0
    modified: int = 0
    deleted: int = 0
    """Events of `file.changed`, by what happened."""

    held: int = 0
    """Deletions that the guard holds back."""

    versions: int = 0
    """Bronze versions with content."""

    tombstones: int = 0
    """Bronze versions that say that a file is gone."""

    blobs: int = 0
    """Objects in the store: every content that ever lay on the share, once."""

    calls: int = 0
    """Rows of `silver.transcripts`."""

    turns: int = 0
    """Rows of `silver.transcript_turns`."""

    words: int = 0
    """Spoken, in all turns."""

    retired: int = 0
    """Calls that have left silver."""

    quality: Quality = field(default_factory=Quality)
    refused: tuple[str, ...] = ()
    """Paths in the dead-letter topics, sorted; a path may stand there more than once."""

    @property
    def events(self) -> int:
        """All events of `file.changed`."""
        return self.added + self.modified + self.deleted


class Ledger:
    """Keeps account of every file that was laid, changed or taken away."""

    def __init__(self, institutions: Collection[str]) -> None:
        self._institutions = frozenset(institutions)
        """Tickers of the monitored list."""
        self._on_share: dict[str, bytes] = {}
        self._readable: dict[str, bytes] = {}
        """The last readable state of every file, as bronze has it."""
        self._contents: set[str] = set()
        self._events: Counter[str] = Counter()
        self._versions = 0
        self._tombstones = 0
        self._held = 0
        self._refused: list[str] = []
        self._calls: set[str] = set()

    def put(self, path: str, data: bytes) -> None:
        """Note that a file was laid or overwritten."""
        self._events["modified" if path in self._on_share else "added"] += 1
        self._on_share[path] = data
        self._contents.add(hashlib.sha256(data).hexdigest())
        if not is_readable(data):
            self._refused.append(path)
            return
        if self._readable.get(path) != data:
            self._versions += 1
            self._readable[path] = data
            self._calls.add(read_document(path, data).call)

    def remove(self, *paths: str) -> None:
        """Note that files were taken away, whose deletion the guard will hold."""
        for path in paths:
            del self._on_share[path]
        self._held = len(paths)

    def release(self, *paths: str) -> None:
        """Note that the deletion of these files was released."""
        for path in paths:
            self._events["deleted"] += 1
            if self._readable.pop(path, None) is not None:
                self._tombstones += 1
        self._held = 0

    @property
    def blob_keys(self) -> frozenset[str]:
        """Where every content must lie in the object store."""
        return frozenset(f"raw/{digest}" for digest in self._contents)

    def figures(self) -> Figures:
        """Return what must have come of it."""
        best = [max(group, key=lambda item: item.rank) for group in self._groups()]
        return Figures(
            # A held deletion leaves the file in the inventory until somebody decides.
            files=len(self._on_share) + self._held,
            added=self._events["added"],
            modified=self._events["modified"],
            deleted=self._events["deleted"],
            held=self._held,
            versions=self._versions,
            tombstones=self._tombstones,
            blobs=len(self._contents),
            calls=len(best),
            turns=sum(document.turns for document in best),
            words=sum(document.words for document in best),
            retired=len(self._calls) - len(best),
            quality=self._quality(),
            refused=tuple(sorted(self._refused)),
        )

    def _groups(self) -> list[list[Document]]:
        """Return the documents of each call that has any."""
        groups: dict[str, list[Document]] = {}
        for path, data in self._readable.items():
            document = read_document(path, data)
            groups.setdefault(document.call, []).append(document)
        return list(groups.values())

    def _quality(self) -> Quality:
        judged = [judge(group, self._institutions) for group in self._groups()]
        flags = Counter(flag for _, found in judged for flag in found)
        return Quality(tuple(sorted(score for score, _ in judged)), dict(flags))


def judge(documents: Iterable[Document], institutions: Collection[str]) -> tuple[Decimal, set[str]]:
    """Return the score and the flags of one call, by the rules as the requirements word them."""
    group = list(documents)
    best = max(group, key=lambda item: item.rank)
    kinds = {document.kind for document in group}
    costly = {
        "missing_corrected_source": ("Corrected" not in kinds, _NO_SOURCE),
        "missing_institution_source": (best.ticker not in institutions, _NO_SOURCE),
        # The institution names the company, else the folder does; InvalidTitle has no folders.
        "missing_company": (
            best.ticker not in institutions and not best.path.startswith("Data/"),
            _NO_FIELD,
        ),
        "missing_title": (not best.title, _NO_FIELD),
        "missing_call_date": (not best.date, _NO_FIELD),
        "title_mismatch": (len({item.title.casefold() for item in group}) > 1, _CONTRADICTION),
        "call_date_mismatch": (len({item.date for item in group}) > 1, _CONTRADICTION),
        "quarter_mismatch": (best.contradicts_path, _CONTRADICTION),
    }
    free = {
        "not_an_earnings_call": not best.is_earnings_call,
        "raw_only": kinds == {"Raw"},
        "no_questions": best.questions == 0,
        "unverified_speakers": best.unnamed_turns > 0,
    }
    flags = {name for name, (applies, _) in costly.items() if applies}
    flags |= {name for name, applies in free.items() if applies}
    return _FULL - sum(cost for applies, cost in costly.values() if applies), flags
