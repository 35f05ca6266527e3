"""What a transcript file says, found by plain text search.

The demo checks the hub's figures against these, so nothing here may be shared with the services: no
parser of theirs, no table, no message.
"""

import re
from dataclasses import dataclass
from html import unescape

_NAME = re.compile(
    r"(?P<ticker>[^_]+)_(?:Q(?P<quarter>\d)_(?P<year>\d{4})_)?"
    r"(?P<kind>Raw|Corrected)_(?P<event>\d+)_(?P<version>\d+)\.xml"
)
_PERSON = re.compile(r'<participant\b[^>]*\bid="([^"]*)"[^>]*>([^<]*)</participant>')
_SPEAKER = re.compile(r"<speaker\b([^>]*)>")
_PARAGRAPH = re.compile(r"<p>([^<]*)</p>")
_TITLE = re.compile(r"<title>([^<]*)</title>")
_DATE = re.compile(r"<date>([^<]*)</date>")
_QUARTER = re.compile(r"\bQ([1-4]) (20\d\d)\b")
_EARNINGS_CALL = re.compile(r"Q[1-4] 20\d\d Earnings Call", re.IGNORECASE)

NOBODY = "Unverified Participant"
"""How the transcripts call a speaker whose name was not caught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One readable transcript file."""

    path: str
    ticker: str
    event: str
    kind: str
    """`Corrected` or `Raw`."""

    version: int
    title: str
    date: str
    turns: int
    questions: int
    words: int
    unnamed_turns: int
    """Turns of a speaker without a name."""

    contradicts_path: bool
    """The quarter of the title is not the quarter of the folder."""

    @property
    def call(self) -> str:
        """The call that the document tells: all kinds and versions of one event share it."""
        return f"{self.ticker}/{self.event}"

    @property
    def is_earnings_call(self) -> bool:
        """Whether the title is that of a quarterly earnings call."""
        return _EARNINGS_CALL.fullmatch(self.title) is not None

    @property
    def rank(self) -> tuple[bool, int]:
        """Grows with how far the document is to be preferred to others of its call."""
        return self.kind == "Corrected", self.version


def is_readable(data: bytes) -> bool:
    """Whether a file is whole and harmless: it ends as it began and declares no document type."""
    text = data.decode().strip()
    whole = text.endswith(("</transcript>", "</TranscriptsCollection>"))
    return whole and "<!DOCTYPE" not in text


def read_document(path: str, data: bytes) -> Document:
    """Return what a readable file says."""
    text = data.decode()
    name = _NAME.fullmatch(path.rpartition("/")[2])
    if name is None:
        raise ValueError(f"{path} is not named like a transcript")
    title = unescape(_first(_TITLE, text))
    people = {person: unescape(called).strip() for person, called in _PERSON.findall(text)}
    speakers = _SPEAKER.findall(text)
    names = [people.get(_attribute(speaker, "id"), "") for speaker in speakers]
    told = _QUARTER.search(title)
    return Document(
        path=path,
        ticker=name["ticker"],
        event=name["event"],
        kind=name["kind"],
        version=int(name["version"]),
        title=title,
        date=_first(_DATE, text),
        turns=len(speakers),
        questions=sum(_attribute(speaker, "type") == "q" for speaker in speakers),
        # Twice, because some deliveries escape twice.
        words=sum(len(unescape(unescape(text)).split()) for text in _PARAGRAPH.findall(text)),
        unnamed_turns=sum(called in ("", NOBODY) for called in names),
        contradicts_path=bool(
            told and name["quarter"] and told.groups() != (name["quarter"], name["year"])
        ),
    )


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1].strip() if found else ""


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return found[1] if found else ""
