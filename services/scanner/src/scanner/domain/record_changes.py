"""New, changed or as before: what one look at a record means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scanner.domain.hashing import find
from scanner.domain.records import RawRecord

MAX_ID_CHARACTERS = 512
"""What the contract's identifiers hold."""


class UnidentifiedRecordError(ValueError):
    """A record lacks one of the fields that identify it."""


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """A record of a page, with its identity and the hash of what counts of it."""

    external_id: str
    content_hash: bytes
    record: RawRecord


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """What the inventory says about a record."""

    external_id: str
    content_hash: bytes | None
    """None where its announcement was never answered."""

    hash_spec_version: int
    is_present: bool
    is_missed: bool
    """A complete poll lacked it, and its deletion is not announced yet."""


@dataclass(frozen=True, slots=True)
class RecordDifference:
    """A record on which a page and the inventory do not agree."""

    external_id: str
    known: KnownRecord | None
    is_repeated: bool
    """The same poll has told it before."""


class RecordVerdict(StrEnum):
    """What is done about a record."""

    NEW = "new"
    CHANGED = "changed"
    REPEATED = "repeated"
    """Nobody answered: announce it again."""

    REHASHED = "rehashed"
    """Unchanged under the specification of its stored hash: write the new hash, tell nobody."""

    RETURNED = "returned"
    """Unchanged, and no longer missing."""

    UNCHANGED = "unchanged"

    @property
    def is_announced(self) -> bool:
        """Whether consumers are told."""
        return self in (RecordVerdict.NEW, RecordVerdict.CHANGED, RecordVerdict.REPEATED)


def judge(
    content_hash: bytes,
    known: KnownRecord | None,
    *,
    version: int,
    rehash: Callable[[int], bytes | None],
) -> RecordVerdict:
    """Compare one record with the inventory.

    Args:
        content_hash: Its hash under the present specification.
        known: What the inventory says; None if it never heard of the record.
        version: Of the present specification.
        rehash: Gives the record's hash under an earlier version; None if that one is not known.
    """
    if known is None or not known.is_present:
        return RecordVerdict.NEW
    if known.content_hash is None:
        return RecordVerdict.REPEATED
    if known.hash_spec_version != version:
        is_same = rehash(known.hash_spec_version) == known.content_hash
        return RecordVerdict.REHASHED if is_same else RecordVerdict.CHANGED
    if known.content_hash != content_hash:
        return RecordVerdict.CHANGED
    return RecordVerdict.RETURNED if known.is_missed else RecordVerdict.UNCHANGED


def identify(record: RawRecord, fields: Sequence[str]) -> str:
    """Return a record's identity: its identifying fields, joined with `/`.

    Raises:
        UnidentifiedRecordError: one of them is missing, or is no text and no number.
    """
    text = "/".join(_part(record, path) for path in fields)
    if len(text) > MAX_ID_CHARACTERS:
        raise UnidentifiedRecordError(f"the identity has more than {MAX_ID_CHARACTERS} characters")
    return text


def _part(record: RawRecord, path: str) -> str:
    value = record[path] if path in record else find(record, path)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # directories tell every attribute as a list
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise UnidentifiedRecordError(f"the record has no `{path}` that could identify it")
    return value.strip()
