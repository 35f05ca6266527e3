"""Entries of a directory as records: each attribute a list of texts.

The values of an attribute are a set: servers give them in any order, so they are sorted, or every
poll would see changes.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from contracts.errors import ErrorCategory
from scanner.domain.cursors import CursorKind, highest, render_time
from scanner.domain.records import ItemFailure, RawRecord

DN = "dn"
"""The entry's distinguished name, beside its attributes."""

_GENERALIZED = ("%Y%m%d%H%M%S.%fZ", "%Y%m%d%H%M%SZ")


class EntryReader:
    """Turns what the server sends into records."""

    def __init__(
        self,
        attributes: Sequence[str],
        *,
        binary: Iterable[str],
        id_attribute: str | None,
        modified: str | None,
        cursor: CursorKind | None,
    ) -> None:
        # Names match in any case; some servers spell them as they were asked.
        self._spelling = {name.lower(): name for name in attributes}
        self._binary = {name.lower() for name in binary}
        self._id_attribute = (id_attribute or "").lower()
        self._modified = (modified or "").lower()
        self._is_modified_asked = bool(self._modified) and self._modified in self._spelling
        self._cursor = cursor

    def read(self, dn: str, raw: Mapping[str, Sequence[bytes]]) -> RawRecord | ItemFailure:
        """Return an entry's record; a failure where an attribute is not text and not declared."""
        record: dict[str, list[str]] = {DN: [dn]}
        for name, values in raw.items():
            if not values or self._is_ours_alone(name):
                continue
            try:
                texts = [self._text(name, value) for value in values]
            except UnicodeDecodeError:
                return self._not_text(dn, name, raw)
            record[self._spelling.get(name.lower(), name)] = sorted(texts)
        return record

    def mark(self, raw: Mapping[str, Sequence[bytes]]) -> str | None:
        """Return an entry's time or number of the last change, as cursors are written."""
        if self._cursor is None:
            return None
        values = next((raw[name] for name in raw if name.lower() == self._modified), ())
        texts = [value.decode("ascii", "replace") for value in values]
        if self._cursor is CursorKind.TIMESTAMP:
            texts = [time for text in texts if (time := from_generalized_time(text)) is not None]
        return highest(self._cursor, texts)

    def _is_ours_alone(self, name: str) -> bool:
        """Whether the attribute was asked for only to know how far was read."""
        return name.lower() == self._modified and not self._is_modified_asked

    def _text(self, name: str, value: bytes) -> str:
        if name.lower() in self._binary:
            return base64.b64encode(value).decode("ascii")
        return value.decode("utf-8")

    def _not_text(self, dn: str, name: str, raw: Mapping[str, Sequence[bytes]]) -> ItemFailure:
        identity = next((raw[key] for key in raw if key.lower() == self._id_attribute), ())
        external_id = None
        if len(identity) == 1 and self._id_attribute != name.lower():
            external_id = self._text(self._id_attribute, identity[0])
        return ItemFailure(
            external_id,
            ErrorCategory.CONTENT_VALIDATION,
            "BinaryAttributeError",
            f"{dn}: the attribute {name} is not text; name it under `binary`",
        )


def from_generalized_time(text: str) -> str | None:
    """Return a directory's time as cursors are written; None for what is no such time."""
    for form in _GENERALIZED:
        try:
            return render_time(datetime.strptime(text, form).replace(tzinfo=UTC))
        except ValueError:
            continue
    return None


def generalized_time(moment: datetime) -> str:
    """Return a time as directories compare it; Active Directory insists on the fraction."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S.0Z")
