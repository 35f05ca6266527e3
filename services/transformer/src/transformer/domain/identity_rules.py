"""What a file of rules may say about identity: which records are one entity, and which entities
must exist.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from transformer.domain.rule_types import ColumnName, Rule, Section, Sentence


class Key(Section):
    """A value that two records share only if they are about the same thing."""

    name: ColumnName
    """Stands in `meta.entity_xref` beside every link that it made."""

    rule: Rule
    """A text over one record's inputs and the `values`; null and blank say nothing."""

    each: ColumnName | None = None
    """An input of type `texts`: the rule is applied to each of its items, called `item`, and once
    with a null `item` where there is none."""

    when: Rule | None = None
    """Only records for which this holds have the key."""

    max_records: Annotated[int, Field(ge=2, le=1000)] = 20
    """A value that more records have is common property (`noreply@…`) and links nothing."""


class Exclusive(Section):
    """A value of which an entity has one: records that differ in it are never one entity."""

    name: ColumnName
    rule: Rule
    """A text; null says nothing."""


class Identity(Section):
    """Which records are one entity: those that share a key, directly or through others."""

    values: dict[ColumnName, Rule] = Field(default_factory=dict)
    """Texts for the rules below; each may use those above it."""

    keys: Annotated[tuple[Key, ...], Field(min_length=1)]
    """Strongest first."""

    exclusive: tuple[Exclusive, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for items in (self.keys, self.exclusive):
            names = [item.name for item in items]
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"`{repeated[0]}` stands twice")
        return self


class Reference(Section):
    """A value that must stand in a column of another silver table (S2-27); null passes.

    It is looked at again whenever that column gains or loses the value.
    """

    name: ColumnName
    field: ColumnName
    entity_type: Annotated[str, Field(min_length=1, max_length=100)]
    """Whose table."""

    column: ColumnName
    """A column of that table."""

    message: Sentence
