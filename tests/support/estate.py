"""A share full of small transcripts, the services that watch it, and what must come out."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CONFIG = """\
version: 1
sources:
  - name: transcripts
    share: {{kind: {kind}, root: "{root}"}}
    scan:
      paths: [Data]
      interval_seconds: 1
      full_interval_seconds: {full_interval}
      settle_seconds: 5
      deletions: {{max_deleted_share: 0.5, confirmations: 2, confirm_after_seconds: 1}}
    ingest: {{entity_type: transcript, parser: transcript_xml}}
"""

_DOCUMENT = """\
<?xml version="1.0" encoding="UTF-8"?>
<transcript id="{number}" product="CorrectedTranscript">
  <meta><title>Q1 2024 Earnings Call</title><date>2024-02-28</date>
    <companies><company>{number:06}-E</company></companies>
    <participants><participant id="1" type="operator">Operator</participant>
    <participant id="2" type="analyst">An Analyst</participant></participants></meta>
  <body><section name="MANAGEMENT DISCUSSION SECTION">
    <speaker id="1"><plist><p>Call {number}, edition {edition}.</p></plist></speaker></section>
  <section name="Q&amp;A">
    <speaker id="2" type="q"><plist><p>Why?</p></plist></speaker></section></body>
</transcript>
"""


@dataclass(slots=True)
class Estate:
    """Files below a folder, and every state that each of them ever had."""

    folder: Path
    states: dict[str, list[str | None]] = field(default_factory=dict)
    """Path → SHA-256 of each state in order; None is a deletion."""

    def write(self, number: int, *, edition: int = 1, padding: int = 0) -> str:
        """Write a file as a careful writer does (temporary name, then rename), and note the
        state."""
        path = path_of(number)
        document = _DOCUMENT.format(number=number, edition=edition).encode()
        # White space after the root element: more bytes, the same call.
        document += b" " * padding
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".tmp")
        partial.write_bytes(document)
        partial.replace(target)
        self.states.setdefault(path, []).append(hashlib.sha256(document).hexdigest())
        return path

    def delete(self, number: int) -> str:
        """Delete a file and note it."""
        path = path_of(number)
        (self.folder / path).unlink()
        self.states[path].append(None)
        return path

    @property
    def changes(self) -> int:
        """How many file events the states amount to."""
        return sum(len(states) for states in self.states.values())

    def living(self) -> Iterator[str]:
        """Return the paths whose last state is a file."""
        return (path for path, states in self.states.items() if states[-1] is not None)


def path_of(number: int) -> str:
    """Return the path of a file: a hundred files a company folder."""
    company = number // 100
    return (
        f"Data/2024/Q1/Financial/C{company:04}-US_Company_{company}/"
        f"C{company:04}-US_Q1_2024_Corrected_{number:07}_1.xml"
    )


def call_of(path: str) -> str:
    """Return the id of the call that a path tells of."""
    ticker, _, _, _, event, _ = Path(path).stem.split("_")
    return f"{ticker}/{event}"


def write_config(
    folder: Path, entities: Path, *, kind: str, root: str = "", full_interval: float = 3
) -> Path:
    """Write a configuration folder for the services."""
    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(kind=kind, root=root, full_interval=full_interval)
    (folder / "sources.yaml").write_text(text)
    target = folder / "entities"
    target.mkdir(exist_ok=True)
    for file in entities.glob("*.yaml"):
        (target / file.name).write_text(file.read_text("utf-8"))
    return folder
