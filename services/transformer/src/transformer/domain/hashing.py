"""Fingerprints of silver records: equal content has an equal hash, on every replay.

The text that is hashed is the row as JSON in the order of the columns. A golden test holds the
form: a library that renders it differently would make every record look changed.
"""

import hashlib
from collections.abc import Mapping, Sequence

import polars as pl

from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY

_TEXT = "@text"


def hash_contents(
    merged: pl.DataFrame, columns: Sequence[str], children: Mapping[str, pl.DataFrame]
) -> pl.Series:
    """Return the hash of everything a reader sees, row by row."""
    texts = merged.select(ENTITY, _as_json(columns))
    for table in sorted(children):
        frame = children[table]
        rows = frame.select(ENTITY, _as_json([name for name in frame.columns if name != ENTITY]))
        joined = rows.group_by(ENTITY).agg(pl.col(_TEXT).str.join("\n").alias(table))
        more = pl.concat_str(pl.lit(f"\n{table}\n"), table).fill_null("")
        texts = texts.join(joined, on=ENTITY, how="left", maintain_order="left").select(
            ENTITY, pl.concat_str(_TEXT, more).alias(_TEXT)
        )
    return _sha256(texts[_TEXT])


def hash_states(
    entity: Entity,
    frame: pl.DataFrame,
    *,
    basis: tuple[str, str],
    content: pl.Expr,
    origins: tuple[str, str],
) -> pl.Series:
    """Return the hash of all that is stored about entities, their basis and rules included.

    Args:
        entity: The rules.
        frame: A row per entity.
        basis: The columns that say when bronze stored it, and the sum of the versions.
        content: What was made of it.
        origins: The columns of winners and records; null for who has none.
    """
    at, versions = basis
    winners, records = origins
    parts = [
        pl.lit(f"{entity.rules_hash} {entity.config.ruleset_version}"),
        _iso(at),
        pl.col(versions).cast(pl.String),
        content,
    ]
    origin = pl.concat_str(pl.lit(" "), _as_tuple(winners), pl.lit(" "), records).fill_null("")
    text = pl.concat_str(pl.concat_str(parts, separator=" "), origin)
    return _sha256(frame.select(text.alias(_TEXT))[_TEXT])


def _as_json(columns: Sequence[str]) -> pl.Expr:
    return pl.struct(columns).struct.json_encode().alias(_TEXT)


# The next two write what Python writes: installations hold hashes of that.


def _iso(column: str) -> pl.Expr:
    moment = pl.col(column)
    is_whole = moment.dt.microsecond() == 0
    text = pl.when(is_whole).then(moment.dt.to_string("%Y-%m-%dT%H:%M:%S+00:00"))
    return text.otherwise(moment.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f+00:00")).fill_null("None")


def _as_tuple(column: str) -> pl.Expr:
    numbers = pl.col(column)
    items = numbers.list.eval(pl.element().cast(pl.String).fill_null("None")).list.join(", ")
    end = pl.when(numbers.list.len() == 1).then(pl.lit(",)")).otherwise(pl.lit(")"))
    return pl.concat_str(pl.lit("("), items, end)


def _sha256(texts: pl.Series) -> pl.Series:
    return pl.Series(
        [hashlib.sha256(text.encode()).hexdigest() for text in texts.to_list()], dtype=pl.String()
    )
