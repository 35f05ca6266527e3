"""Bronze heads of made-up calls, in the shape that the ingestor writes."""

import json
from datetime import UTC, datetime
from typing import Any

from tests.support.paths import PROJECT
from transformer.adapters.entity_files import load_entities
from transformer.domain.entity import Entity
from transformer.domain.merge import merge
from transformer.domain.records import Head, Merged, Outcome

CALL = "RY-CA/12345"
STORED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

PARTICIPANTS: list[dict[str, Any]] = [
    {"id": "1", "name": "Operator", "type": "operator"},
    {
        "id": "2",
        "name": "Nadine Ahn",
        "type": "corprep",
        "affiliation": "Royal Bank of Canada",
        "title": "Chief Financial Officer",
    },
    {"id": "3", "name": "Ebrahim Poonawala", "type": "analyst", "affiliation": "Bank of America"},
]
SECTIONS: list[dict[str, Any]] = [
    {
        "name": "MANAGEMENT DISCUSSION SECTION",
        "turns": [
            {"speaker_id": "1", "speaker_type": None, "paragraphs": ["Good morning.", "Welcome."]},
        ],
    },
    {
        "name": "Q&A",
        "turns": [
            {"speaker_id": "3", "speaker_type": "q", "paragraphs": ["How was the quarter?"]},
            {"speaker_id": "2", "speaker_type": "a", "paragraphs": ["It was a strong one."]},
        ],
    },
]
INSTITUTION = {"ticker": "RY-CA", "name": "Royal Bank of Canada", "type": "Canadian_Banks"}


def transcripts() -> Entity:
    """The rules that the project ships."""
    return load_entities(PROJECT / "config")["transcript"]


def path_of(kind: str = "Corrected", version_id: str = "7") -> str:
    folder = "Data/2024/Q1/Canadian_Banks/RY-CA_Royal_Bank_of_Canada"
    return f"{folder}/RY-CA_Q1_2024_{kind}_12345_{version_id}.xml"


def document(kind: str = "Corrected", version_id: str = "7", **changes: Any) -> dict[str, Any]:
    """What the ingestor makes of one file; `changes` replaces top-level keys."""
    return {
        "transcript_id": version_id,
        "product": f"{kind}Transcript",
        "transcript_type": kind,
        "title": "Q1 2024 Earnings Call",
        "quarter": 1,
        "year": 2024,
        "date": "2024-02-28",
        "companies": ["000000-E"],
        "participants": PARTICIPANTS,
        "sections": SECTIONS,
        "institution": INSTITUTION,
        "file": {
            "path": path_of(kind, version_id),
            "ticker": "RY-CA",
            "quarter": 1,
            "year": 2024,
            "type": kind,
            "event_id": "12345",
            "version_id": version_id,
            "institution_type": "Canadian_Banks",
            "company_folder": "RY-CA_Royal_Bank_of_Canada",
        },
    } | changes


def head(
    content: dict[str, Any] | None = None,
    *,
    entity_id: str = CALL,
    external_id: str | None = None,
    version: int = 1,
    stored_at: datetime = STORED,
) -> Head:
    """A live head; the corrected version of the call unless told otherwise."""
    content = document() if content is None else content
    file = content.get("file") or {}
    return Head(
        entity_id=entity_id,
        source_system="nas",
        external_id=external_id or file.get("path", "somewhere.xml"),
        version=version,
        is_deleted=False,
        stored_at=stored_at,
        document=json.dumps(content),
    )


def tombstone(
    external_id: str, *, entity_id: str = CALL, version: int = 2, stored_at: datetime = STORED
) -> Head:
    return Head(entity_id, "nas", external_id, version, True, stored_at, None)


def merge_one(entity: Entity, *heads: Head) -> Outcome:
    """Merge the heads of one entity."""
    (outcome,) = merge(entity, [heads[0].entity_id], heads)
    return outcome


def merged(entity: Entity, *heads: Head) -> Merged:
    outcome = merge_one(entity, *heads)
    assert isinstance(outcome, Merged), outcome
    return outcome


def row(entity: Entity, record: Merged) -> dict[str, Any]:
    return dict(zip(entity.columns, record.values, strict=True))
