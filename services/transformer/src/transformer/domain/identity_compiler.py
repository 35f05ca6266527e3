"""The identity rules made executable, and checked before the first record arrives."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from transformer.domain.expressions import Schema, compile_row_rule
from transformer.domain.identity_rules import Identity, Key
from transformer.errors import RuleError

ITEM = "item"
"""What a rule with `each` calls the item that it looks at."""

_TEXT = pl.String()


@dataclass(frozen=True, slots=True)
class KeyRule:
    """One key, ready to run."""

    config: Key
    value: pl.Expr
    condition: pl.Expr | None


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The identity section of an entity, ready to run."""

    values: Mapping[str, pl.Expr]
    keys: tuple[KeyRule, ...]
    exclusive: Mapping[str, pl.Expr]

    @property
    def limits(self) -> dict[str, int]:
        """How many records may have a value, by key, strongest first."""
        return {rule.config.name: rule.config.max_records for rule in self.keys}


def compile_identity(identity: Identity, record: Schema) -> IdentityRules:
    """Compile the rules of identity.

    Args:
        identity: The section.
        record: The columns that rules over one record may name.

    Raises:
        RuleError: names the place of the first rule that cannot be used, and what is wrong.
    """
    schema = dict(record)
    values = {}
    for name, rule in identity.values.items():
        place = f"identity.values.{name}"
        if name in schema or name == ITEM:
            raise RuleError(f"{place}: the name is taken")
        values[name] = compile_row_rule(rule, schema, _TEXT, place=place)
        schema[name] = _TEXT
    return IdentityRules(
        values=values,
        keys=tuple(_compile_key(key, schema) for key in identity.keys),
        exclusive={
            item.name: compile_row_rule(
                item.rule, schema, _TEXT, place=f"identity.exclusive.{item.name}"
            )
            for item in identity.exclusive
        },
    )


def _compile_key(key: Key, schema: Schema) -> KeyRule:
    place = f"identity.keys.{key.name}"
    seen = dict(schema)
    if key.each is not None:
        if schema.get(key.each) != pl.List(_TEXT):
            raise RuleError(f"{place}.each: `{key.each}` is no input of type `texts`")
        seen[ITEM] = _TEXT
    return KeyRule(
        config=key,
        value=compile_row_rule(key.rule, seen, _TEXT, place=f"{place}.rule"),
        condition=None
        if key.when is None
        else compile_row_rule(key.when, schema, pl.Boolean(), place=f"{place}.when"),
    )
