"""Fingerprints of silver records: equal content has an equal hash, on every replay.

The text that is hashed is the row as JSON in the order of the columns. A golden test holds the
form: a library that renders it differently would make every record look changed.
"""

import hashlib
from collections.abc import Mapping, Sequence

import polars as pl

from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY
from transformer.domain.records import Basis, Origins

_TEXT = "@text"


def hash_contents(
    merged: pl.DataFrame, columns: Sequence[str], children: Mapping[str, pl.DataFrame]
) -> dict[str, str]:
    """Return the hash of everything a reader sees, by entity."""
    texts = dict(merged.select(ENTITY, _as_json(columns)).rows())
    for table in sorted(children):
        frame = children[table]
        rows = frame.select(ENTITY, _as_json([name for name in frame.columns if name != ENTITY]))
        joined = rows.group_by(ENTITY).agg(pl.col(_TEXT).str.join("\n"))
        for entity_id, text in joined.rows():
            if entity_id in texts:
                texts[entity_id] += f"\n{table}\n{text}"
    return {entity_id: _sha256(text) for entity_id, text in texts.items()}


def hash_state(
    entity: Entity, basis: Basis, *, content: str, origins: Origins | None = None
) -> str:
    """Return the hash of all that is stored about an entity, its basis and rules included."""
    config = entity.config
    at = basis.bronze_at.isoformat() if basis.bronze_at else None
    text = f"{entity.rules_hash} {config.ruleset_version} {at} {basis.bronze_versions} {content}"
    if origins is not None:
        text = f"{text} {origins.winners} {origins.records}"
    return _sha256(text)


def _as_json(columns: Sequence[str]) -> pl.Expr:
    return pl.struct(columns).struct.json_encode().alias(_TEXT)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
