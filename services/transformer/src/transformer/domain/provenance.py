"""Explains silver values: which record won each field, which lost, and by which rule."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY, RANK, ROW, Candidates, winner_of
from transformer.domain.records import Provenance


class Explainer:
    """Answers for the records of one merge."""

    def __init__(self, entity: Entity, candidates: Candidates, merged: pl.DataFrame) -> None:
        self._entity = entity
        self._candidates = candidates
        self._ranks: list[int] = candidates.frame[RANK].to_list()
        stored = [name for name in entity.columns if name in entity.fields]
        self._values = {name: candidates.frame[name].to_list() for name in stored}
        self._rules = {name: _rule_of(entity, name) for name in stored}
        self._rows: dict[str, list[int]] = {}
        for entity_id, row in candidates.frame.select(ENTITY, ROW).rows():
            self._rows.setdefault(entity_id, []).append(row)
        units = list(entity.config.units())
        winners = merged.select(ENTITY, *(winner_of(unit) for unit in units)).rows()
        self._winners: dict[str, dict[str, int | None]] = {
            entity_id: dict(zip(units, rows, strict=True)) for entity_id, *rows in winners
        }

    def explain(self, entity_id: str) -> tuple[Provenance, ...]:
        """Return the provenance of every column of one record, in the order of the columns."""
        winners = self._winners[entity_id]
        return tuple(
            self._explain_column(entity_id, name, winners) for name in self._entity.columns
        )

    def _explain_column(
        self, entity_id: str, name: str, winners: Mapping[str, int | None]
    ) -> Provenance:
        config = self._entity.config
        if name in config.fields:
            winner = winners[config.unit_of(name)]
            return self._won(name, self._rules[name], winner, self._claims(entity_id, name))
        if name in config.rollups:
            rollup = config.rollups[name]
            return self._won(name, f"{rollup.rule} over {rollup.of}", self._document(name, winners))
        return Provenance(field=name, rule=config.derived[name].rule)

    def _document(self, rollup: str, winners: Mapping[str, int | None]) -> int | None:
        """Return the record whose document a rollup counts."""
        config = self._entity.config
        table = config.rollups[rollup].of
        group = next(child.of for child in config.children if child.table == table)
        return winners[f"group {group}"]

    def _won(
        self,
        name: str,
        rule: str,
        row: int | None,
        claims: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> Provenance:
        beaten = tuple(item for place, item in (claims or {}).items() if place != row)
        if row is None:
            return Provenance(field=name, rule=rule, losers=beaten)
        head = self._candidates.heads[row]
        return Provenance(
            field=name,
            rule=rule,
            source=self._source(row),
            source_system=head.source_system,
            external_id=head.external_id,
            bronze_version=head.version,
            losers=beaten,
        )

    def _claims(self, entity_id: str, name: str) -> dict[int, dict[str, Any]]:
        """Describe every contributing record's claim to a field, strongest first."""
        claims = {}
        for row in self._rows[entity_id]:
            head = self._candidates.heads[row]
            claims[row] = {
                "source": self._source(row),
                "source_system": head.source_system,
                "external_id": head.external_id,
                "bronze_version": head.version,
                "value": _as_json(self._values[name][row]),
            }
        return claims

    def _source(self, row: int) -> str:
        return self._entity.config.sources[self._ranks[row]].name


def _rule_of(entity: Entity, name: str) -> str:
    config = entity.config
    order = " > ".join(config.priority_of(config.unit_of(name)))
    if config.newest_first:
        order += f", then highest {', '.join(config.newest_first)}"
    return f"{config.fields[name].rule}; {config.unit_of(name)} by {order}"


def _as_json(value: Any) -> Any:
    match value:
        case date():
            return value.isoformat()
        case Decimal():
            return format(value.normalize(), "f")
        case _:
            return value
