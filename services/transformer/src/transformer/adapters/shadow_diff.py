"""Tells how silver differs from its shadow: counts, and examples of everything that differs."""

import json
from typing import Any

import asyncpg

from chassis.db import Connection
from transformer.adapters import shadow_sql as sql
from transformer.domain.entity import Entity
from transformer.domain.rules import ColumnType


async def read_diff(connection: Connection, entity: Entity, *, examples: int) -> dict[str, Any]:
    """Return the difference in words that JSON has, with so many examples of each kind."""
    statements = sql.build_shadow_statements(entity)
    kind = entity.entity_type
    totals = await connection.fetchrow(sql.TOTALS, kind)
    scores = await connection.fetchrow(statements.scores, kind)
    found = {
        **dict(totals or {}),
        "scores": dict(scores or {}),
        "fields": _fields(entity, await connection.fetch(statements.fields, kind, examples)),
        "examples": _arrivals(await connection.fetch(statements.arrivals, kind, examples)),
    }
    for child in statements.children:
        rows = await connection.fetch(child.differences, kind, examples)
        found.setdefault("children", {})[child.table] = _children(rows)
    return found


def _fields(entity: Entity, rows: list[asyncpg.Record]) -> dict[str, Any]:
    """Return, by column, how often it differs, and examples with who wins it."""
    tables = {child.config.table for child in entity.children}
    found: dict[str, Any] = {}
    for row in rows:
        field = found.setdefault(row["field"], {"changed": row["total"], "examples": []})
        if row["field"] in tables:
            continue
        exact = entity.config.column_types().get(row["field"]) is not ColumnType.DOUBLE
        field["examples"].append(
            {
                "entity_id": row["entity_id"],
                "before": _value(row["before"], exact=exact),
                "after": _value(row["after"], exact=exact),
                "won_before": _winner(row, "was"),
                "won_after": _winner(row, "now"),
            }
        )
    return found


def _winner(row: asyncpg.Record, when: str) -> dict[str, Any] | None:
    if row[f"{when}_rule"] is None:
        return None
    return {
        "source": row[f"{when}_source"],
        "source_system": row[f"{when}_system"],
        "external_id": row[f"{when}_id"],
        "rule": row[f"{when}_rule"],
    }


def _arrivals(rows: list[asyncpg.Record]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"added": [], "removed": []}
    for row in rows:
        told = {"entity_id": row["entity_id"], **_value(row["labels"], exact=True)}
        if row["verdict"] == "removed":
            told["why"] = _why(row)
        found[row["verdict"]].append(told)
    return found


def _why(row: asyncpg.Record) -> str:
    if row["status"] == "rejected":
        return "rejected: " + "; ".join(row["reasons"])
    if row["merged_into"] is not None:
        return f"part of {row['merged_into']}"
    return "bronze has no live record of it"


def _children(rows: list[asyncpg.Record]) -> dict[str, Any]:
    found: dict[str, Any] = {"added": 0, "removed": 0, "changed": 0, "examples": []}
    for row in rows:
        found[row["verdict"]] = row["total"]
        values = _value(row["values"], exact=False) or {}
        found["examples"].append(
            {
                "entity_id": row["entity_id"],
                "row": row["number"],
                "verdict": row["verdict"],
                "before": {name: pair[0] for name, pair in values.items()},
                "after": {name: pair[1] for name, pair in values.items()},
            }
        )
    return found


def _value(text: str | None, *, exact: bool) -> Any:
    """Read a value; decimals as text, because a program's floating point would round them."""
    return None if text is None else json.loads(text, parse_float=str if exact else float)
