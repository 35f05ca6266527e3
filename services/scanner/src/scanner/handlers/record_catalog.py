"""The configured record sources."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scanner.errors import ScanRequestError
from scanner.settings.records import RecordScanConfig, RecordsConfig


@dataclass(frozen=True, slots=True)
class RecordSourceEntry:
    """One entry of `config/sources.yaml` with a section `records`."""

    name: str
    records: RecordsConfig
    scan: RecordScanConfig
    batch_size: int
    max_records: int
    """0 reads all."""


class RecordCatalog:
    """Finds record sources by name."""

    def __init__(self, entries: Mapping[str, RecordSourceEntry]) -> None:
        self._entries = dict(entries)

    def names(self) -> Collection[str]:
        """Return the names of all record sources."""
        return self._entries.keys()

    def all(self) -> Collection[RecordSourceEntry]:
        """Return all record sources."""
        return self._entries.values()

    def without(self, names: Collection[str]) -> "RecordCatalog":
        """Return the catalog of the other sources."""
        return RecordCatalog(
            {name: entry for name, entry in self._entries.items() if name not in names}
        )

    def resolve(self, name: str) -> RecordSourceEntry:
        """Return a source.

        Raises:
            ScanRequestError: there is none of that name.
        """
        if name not in self._entries:
            raise ScanRequestError(f"`{name}` is no configured record source", source=name)
        return self._entries[name]
