"""Valid bronze versions; tests override what matters to them."""

from typing import Any

from contracts.layers import BronzeOperation
from ingestor.domain.canonical import canonical_json, content_hash
from ingestor.domain.versions import InMemory, NewVersion


def stored(
    content: Any, sequence: int | None = 1, *, path: str = "a.xml", **more: Any
) -> NewVersion:
    document = canonical_json(content)
    values: dict[str, Any] = {
        "operation": BronzeOperation.STORED,
        "entity_type": "transcript",
        "source_system": "nas",
        "external_id": path,
        "entity_id": f"entity-of-{path}",
        "document": InMemory(document),
        "content_hash": content_hash(document),
        "blob_sha256": content_hash(document),
        "size_bytes": len(document),
        "sequence": sequence,
    }
    return NewVersion(**(values | more))


def tombstone(sequence: int | None = 1, *, path: str = "a.xml") -> NewVersion:
    return NewVersion(
        operation=BronzeOperation.TOMBSTONED,
        entity_type="transcript",
        source_system="nas",
        external_id=path,
        sequence=sequence,
    )
