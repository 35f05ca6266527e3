"""An entity's rules made executable: every expression compiled and checked against the columns it
may see, before the first record arrives.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from transformer.domain.expressions import Schema, compile_rollup, compile_row_rule
from transformer.domain.identity_compiler import IdentityRules, compile_identity
from transformer.domain.rules import (
    Child,
    ColumnType,
    Disagreement,
    EntityConfig,
    Flag,
    Input,
    InputType,
)
from transformer.errors import RuleError

NUMERIC = pl.Decimal(38, 12)
MOMENT = pl.Datetime("us", "UTC")

COLUMN_TYPES: Mapping[ColumnType, pl.DataType] = {
    ColumnType.TEXT: pl.String(),
    ColumnType.TEXTS: pl.List(pl.String()),
    ColumnType.INTEGER: pl.Int32(),
    ColumnType.BIGINT: pl.Int64(),
    ColumnType.NUMERIC: NUMERIC,
    ColumnType.DOUBLE: pl.Float64(),
    ColumnType.BOOLEAN: pl.Boolean(),
    ColumnType.DATE: pl.Date(),
    ColumnType.TIMESTAMPTZ: MOMENT,
}
"""How a column's values travel through polars."""

INPUT_TYPES: Mapping[InputType, pl.DataType] = {
    InputType.TEXT: pl.String(),
    InputType.TEXTS: pl.List(pl.String()),
    InputType.INTEGER: pl.Int64(),
    InputType.NUMERIC: NUMERIC,
    InputType.DOUBLE: pl.Float64(),
    InputType.BOOLEAN: pl.Boolean(),
    InputType.DATE: pl.Date(),
    InputType.TIMESTAMPTZ: MOMENT,
    InputType.FILETIME: MOMENT,
    InputType.COUNT: pl.Int64(),
    InputType.WORDS: pl.Int64(),
}
"""How an input's values travel through polars."""

RECORD_COLUMNS: Mapping[str, pl.DataType] = {
    "source_system": pl.String(),
    "external_id": pl.String(),
}
"""What rules over one record see beside its inputs."""


@dataclass(frozen=True, slots=True)
class ChildRules:
    """A child table with its compiled columns."""

    config: Child
    fields: Mapping[str, pl.Expr]

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns without `entity_id`, in the order of a row's values."""
        return (self.config.number, *self.config.fields)


@dataclass(frozen=True, slots=True)
class FlagRule:
    """A flag and the condition that raises it."""

    flag: str
    condition: pl.Expr


@dataclass(frozen=True, slots=True, repr=False)
class Entity:
    """One silver entity, ready to run."""

    config: EntityConfig
    sources: tuple[pl.Expr, ...]
    """When a record belongs to the source of that place."""

    fields: Mapping[str, pl.Expr]
    identity: IdentityRules | None
    children: tuple[ChildRules, ...]
    rollups: Mapping[str, pl.Expr]
    derived: Mapping[str, pl.Expr]
    validations: tuple[pl.Expr, ...]
    missing_sources: tuple[FlagRule, ...]
    mismatches: tuple[FlagRule, ...]
    informational: tuple[FlagRule, ...]
    rules_hash: str
    """Tells one set of rules from another, whether or not somebody raised its version."""

    def __repr__(self) -> str:
        return f"<rules of {self.entity_type!r}, version {self.config.ruleset_version}>"

    @property
    def entity_type(self) -> str:
        """As bronze calls it."""
        return self.config.entity_type

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the silver table that the rules fill, in order."""
        return tuple(self.config.stored_columns())


def source_flag(source: str) -> str:
    """Return the name under which rules ask whether a source contributes."""
    return f"has_{source}"


def mismatch_flag(field: str) -> str:
    """Return the flag of sources that contradict each other in a field (S2-23)."""
    return f"{field}_mismatch"


def compile_entity(config: EntityConfig) -> Entity:
    """Compile and check every rule of an entity.

    Raises:
        RuleError: names the place of the first rule that cannot be used, and what is wrong.
    """
    record = {**RECORD_COLUMNS, **_input_schema(config.inputs)}
    if clash := RECORD_COLUMNS.keys() & config.inputs.keys():
        raise RuleError(f"inputs.{min(clash)}: the name is taken")
    children = tuple(_compile_child(child) for child in config.children)
    merged = _merged_schema(config)
    derived = _compile_derived(config, merged)
    return Entity(
        config=config,
        sources=_compile_sources(config, record),
        fields={
            name: compile_row_rule(
                field.rule, record, COLUMN_TYPES[field.type], place=f"fields.{name}.rule"
            )
            for name, field in config.fields.items()
        },
        identity=compile_identity(config.identity, record) if config.identity else None,
        children=children,
        rollups=_compile_rollups(config),
        derived=derived,
        validations=tuple(
            _condition(item.rule, merged, f"validations.{item.name}.rule")
            for item in config.validations
        ),
        missing_sources=_compile_missing_sources(config, merged),
        mismatches=_compile_mismatches(config, merged),
        informational=_flags(config.quality.informational, merged, "quality.informational"),
        rules_hash=_hash_rules(config),
    )


def _hash_rules(config: EntityConfig) -> str:
    # Without defaults: a word that a later version adds must not make every record look changed.
    rules = config.model_dump_json(
        exclude={"description", "find_by", "indexes"}, exclude_defaults=True
    )
    return hashlib.sha256(rules.encode()).hexdigest()[:16]


def _compile_sources(config: EntityConfig, record: Schema) -> tuple[pl.Expr, ...]:
    conditions = []
    for source in config.sources:
        condition = pl.lit(value=True)
        if source.system is not None:
            condition &= pl.col("source_system") == source.system
        if source.when is not None:
            condition &= _condition(source.when, record, f"sources.{source.name}.when")
        conditions.append(condition)
    return tuple(conditions)


def _compile_child(child: Child) -> ChildRules:
    schema = {**_input_schema(child.inputs), child.number: pl.Int32()}
    if child.number in child.inputs or child.number in child.fields:
        raise RuleError(f"children.{child.table}.number: `{child.number}` is taken")
    return ChildRules(
        config=child,
        fields={
            name: compile_row_rule(
                field.rule,
                schema,
                COLUMN_TYPES[field.type],
                place=f"children.{child.table}.fields.{name}.rule",
            )
            for name, field in child.fields.items()
        },
    )


def _compile_rollups(config: EntityConfig) -> dict[str, pl.Expr]:
    schemas = {child.table: _child_schema(child) for child in config.children}
    return {
        name: compile_rollup(
            rollup.rule, schemas[rollup.of], pl.Int32(), place=f"rollups.{name}.rule"
        )
        for name, rollup in config.rollups.items()
    }


def _compile_derived(config: EntityConfig, merged: dict[str, pl.DataType]) -> dict[str, pl.Expr]:
    """Compile in order; each value joins `merged`, so that the next may use it."""
    derived: dict[str, pl.Expr] = {}
    for name, item in config.derived.items():
        result = COLUMN_TYPES[item.type]
        derived[name] = compile_row_rule(item.rule, merged, result, place=f"derived.{name}.rule")
        merged[name] = result
    return derived


def _compile_missing_sources(config: EntityConfig, merged: Schema) -> tuple[FlagRule, ...]:
    known = {source.name for source in config.sources}
    rules = []
    for index, item in enumerate(config.quality.sources):
        place = f"quality.sources.{index}"
        if item.when is None and item.name not in known:
            raise RuleError(f"{place}: `{item.name}` is no source and has no `when`")
        present = _condition(item.when or source_flag(item.name), merged, f"{place}.when")
        rules.append(FlagRule(f"missing_{item.name}_source", ~present))
    return tuple(rules)


def _compile_mismatches(config: EntityConfig, merged: Schema) -> tuple[FlagRule, ...]:
    rules: list[FlagRule] = []
    for item in config.quality.mismatches:
        match item:
            case Disagreement():
                flag = mismatch_flag(item.field)
                rules.append(FlagRule(flag, pl.col(flag)))
            case Flag():
                rules.extend(_flags((item,), merged, "quality.mismatches"))
    return tuple(rules)


def _flags(items: tuple[Flag, ...], merged: Schema, place: str) -> tuple[FlagRule, ...]:
    return tuple(
        FlagRule(item.flag, _condition(item.when, merged, f"{place}.{item.flag}.when"))
        for item in items
    )


def _condition(rule: str, schema: Schema, place: str) -> pl.Expr:
    """Compile a yes-or-no rule; null is no."""
    return compile_row_rule(rule, schema, pl.Boolean(), place=place).fill_null(value=False)


def _input_schema(inputs: Mapping[str, Input]) -> dict[str, pl.DataType]:
    return {name: INPUT_TYPES[item.type] for name, item in inputs.items()}


def _child_schema(child: Child) -> dict[str, pl.DataType]:
    columns = {name: COLUMN_TYPES[field.type] for name, field in child.fields.items()}
    return {child.number: pl.Int32(), **columns}


def _merged_schema(config: EntityConfig) -> dict[str, pl.DataType]:
    """What rules over the merged record see, before the derived values."""
    return {
        **{name: COLUMN_TYPES[field.type] for name, field in config.fields.items()},
        **dict.fromkeys(config.rollups, pl.Int32()),
        **{source_flag(source.name): pl.Boolean() for source in config.sources},
        "version_count": pl.Int32(),
    }
