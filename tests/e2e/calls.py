"""What the 198 transcripts must become, taken from their manifest and from plain text search."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from penstock.demo.documents import read_document

_QUARTER = re.compile(r"Q([1-4]) (20\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One file, as the manifest describes it."""

    path: str
    data: bytes
    call: str
    kind: str
    version: int
    title: str
    date: date
    turns: int
    participants: int
    sections: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """All files and the list of institutions."""

    transcripts: Mapping[str, Transcript]
    """By path."""

    institutions: Mapping[str, Mapping[str, str]]
    """By ticker."""


def read_corpus(folder: Path) -> Corpus:
    with (folder / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    transcripts = {row["path"]: _transcript(row, folder) for row in rows}
    institutions = yaml.safe_load((folder / "monitored_institutions.yaml").read_text("utf-8"))
    return Corpus(transcripts, institutions)


def silver_row(documents: list[Transcript], corpus: Corpus) -> dict[str, Any]:
    """Return the row of one call: Corrected before Raw, the newest version before the others."""
    best = max(documents, key=lambda item: (item.kind == "Corrected", item.version))
    ticker = best.call.partition("/")[0]
    told = _QUARTER.search(best.title)
    return {
        "entity_id": best.call,
        "ticker": ticker,
        "company": corpus.institutions[ticker]["name"],
        "institution_type": corpus.institutions[ticker]["type"],
        "title": best.title,
        "call_date": best.date,
        "fiscal_quarter": int(told[1]) if told else None,
        "is_earnings_call": bool(re.fullmatch(r"Q[1-4] 20\d\d Earnings Call", best.title)),
        "transcript_type": best.kind,
        "participant_count": best.participants,
        "section_count": best.sections,
        "turn_count": best.turns,
        "word_count": read_document(best.path, best.data).words,
        "version_count": len(documents),
    }


def silver_rows(transcripts: Mapping[str, Transcript], corpus: Corpus) -> list[dict[str, Any]]:
    """Return the rows of all calls that these files tell."""
    calls: dict[str, list[Transcript]] = {}
    for transcript in transcripts.values():
        calls.setdefault(transcript.call, []).append(transcript)
    return [silver_row(calls[call], corpus) for call in sorted(calls)]


def _transcript(row: Mapping[str, str], folder: Path) -> Transcript:
    ticker, *_, kind, event, version = Path(row["path"]).stem.split("_")
    assert (ticker, kind) == (row["ticker"], row["type"])
    return Transcript(
        path=row["path"],
        data=(folder / row["path"]).read_bytes(),
        call=f"{ticker}/{event}",
        kind=kind,
        version=int(version),
        title=row["title"],
        date=date.fromisoformat(row["date"]),
        turns=int(row["speaker_blocks"]),
        participants=int(row["participants"]),
        sections=int(row["sections"]),
    )
