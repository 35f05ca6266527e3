"""What a transcript's path says about it, and who it is.

The original pipeline files calls as
`Data/YYYY/QX/<institution type>/<company>/<TICKER-CC>_QX_YYYY_<Type>_<event>_<version>.xml`, and
those whose title is no quarterly call as `InvalidTitle/<TICKER-CC>_<Type>_<event>_<version>.xml`.
"""

import hashlib
import re
from dataclasses import dataclass

_NAME = re.compile(
    r"(?P<ticker>.+?)(?:_Q(?P<quarter>[1-4])_(?P<year>[0-9]{4}))?"
    r"_(?P<type>Raw|Corrected|NearRealTime)_(?P<event_id>[^_]+)_(?P<version_id>[^_]+)\.xml",
    re.IGNORECASE,
)
_FOLDERS = re.compile(
    r"(?:.*/)?(?P<year>[0-9]{4})/Q(?P<quarter>[1-4])/(?P<institution_type>[^/]+)/(?P<company>[^/]+)",
    re.IGNORECASE,
)
_LONGEST_NAME = 255  # of any file system; a longer one is an attempt to break an identifier
_TYPES = {name.lower(): name for name in ("Raw", "Corrected", "NearRealTime")}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The parts of a path; what the path does not say is None."""

    path: str
    name: str
    ticker: str | None = None
    quarter: int | None = None
    year: int | None = None
    type: str | None = None
    """`Raw`, `Corrected` or `NearRealTime`."""

    event_id: str | None = None
    version_id: str | None = None
    institution_type: str | None = None
    company_folder: str | None = None

    @property
    def entity_id(self) -> str:
        """The call: every type and version of one event shares it.

        A file outside the naming scheme is an entity of its own, known by its path.
        """
        if self.ticker and self.event_id and len(self.name) <= _LONGEST_NAME:
            return f"{self.ticker}/{self.event_id}"
        return f"file/{hashlib.sha256(self.path.encode()).hexdigest()[:32]}"


def read_path(path: str) -> FileFacts:
    """Take a path apart; any path will do."""
    folder, _, name = path.rpartition("/")
    named = _groups(_NAME, name)
    filed = _groups(_FOLDERS, folder)
    kind = named.get("type")
    return FileFacts(
        path=path,
        name=name,
        ticker=named.get("ticker"),
        quarter=_number(named.get("quarter") or filed.get("quarter")),
        year=_number(named.get("year") or filed.get("year")),
        type=_TYPES[kind.lower()] if kind else None,
        event_id=named.get("event_id"),
        version_id=named.get("version_id"),
        institution_type=filed.get("institution_type"),
        company_folder=filed.get("company"),
    )


def _groups(pattern: re.Pattern[str], text: str) -> dict[str, str | None]:
    match = pattern.fullmatch(text)
    return match.groupdict() if match else {}


def _number(text: str | None) -> int | None:
    return int(text) if text else None
