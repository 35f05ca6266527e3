"""Which monitored institution a path belongs to: it enriches an event, it never filters (C-07)."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MonitoredInstitution:
    """One entry of the monitored list."""

    ticker: str
    """`TICKER-COUNTRY`."""

    name: str
    type: str
    path_safe_name: str
    """The name of its folder."""


class InstitutionDirectory:
    """Finds institutions by folder name, else by the ticker that begins a file name."""

    def __init__(self, institutions: Iterable[MonitoredInstitution] = ()) -> None:
        known = tuple(institutions)
        self._by_folder = {item.path_safe_name.casefold(): item for item in known}
        self._by_ticker = {item.ticker.casefold(): item for item in known}

    def __len__(self) -> int:
        return len(self._by_ticker)

    def find(self, path: str) -> MonitoredInstitution | None:
        """Return the institution of a path; the innermost folder wins."""
        *folders, name = path.split("/")
        for folder in reversed(folders):
            if found := self._by_folder.get(folder.casefold()):
                return found
        return self._by_ticker.get(name.split("_", 1)[0].casefold())
