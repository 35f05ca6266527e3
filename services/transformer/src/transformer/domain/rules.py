"""What a file in `config/entities` may say; `transformer.domain.entity` makes it executable.

The models refuse unknown fields, so a mistyped word is an error at start and never a rule that
silently does nothing.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from contracts.types import Name
from transformer.domain.identity_rules import Identity, Reference
from transformer.domain.rule_types import ColumnName, Rule, Section

Path = Annotated[
    str,
    StringConstraints(pattern=r"^[^.\s]([^.]*[^.\s])?(\.[^.\s]([^.]*[^.\s])?)*$", max_length=200),
]
"""Keys from the top of a JSON document downwards, joined by dots; they may contain spaces.

In a list, a number is an item's place from 0, and `*` is every item.
"""


class InputType(StrEnum):
    """What is made of a JSON value; what does not fit becomes null."""

    TEXT = "text"
    """A string (blank ones are null), or a number as it is written; a list is joined by `join`."""

    TEXTS = "texts"
    """The strings of a list."""

    INTEGER = "integer"
    """A whole number however it is written (`7`, `7.0`), or a string of digits."""

    NUMERIC = "numeric"
    """A decimal exactly as it is written, also in a string and with commas for thousands."""

    DOUBLE = "double"
    """The same as a floating-point number."""

    BOOLEAN = "boolean"
    DATE = "date"
    """A string that begins with `YYYY-MM-DD`."""

    TIMESTAMPTZ = "timestamptz"
    """A moment as ISO 8601 or LDAP writes it; one that names no zone is meant in UTC.

    The year 1 means that none is set.
    """

    FILETIME = "filetime"
    """A moment as Active Directory writes it: 100 ns since 1601; 0 and the highest are null."""

    COUNT = "count"
    """How many items a list has; 0 where there is none."""

    WORDS = "words"
    """How many words a string, or the strings of a list, have."""


class ColumnType(StrEnum):
    """Types of silver columns, by their names in PostgreSQL (`double` for `double precision`)."""

    TEXT = "text"
    TEXTS = "text[]"
    INTEGER = "integer"
    BIGINT = "bigint"
    NUMERIC = "numeric"
    """Exact, with up to 26 digits before the point and 12 behind it."""

    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMPTZ = "timestamptz"


class Input(Section):
    """One value taken out of the JSON document."""

    path: Path
    type: InputType
    join: str = " "
    """What stands between the strings of a list that is read as text."""


class Source(Section):
    """One kind of bronze record that contributes; the list is in order of priority."""

    name: ColumnName
    system: Name | None = None
    """Only records of this source system."""

    when: Rule | None = None
    """Only records for which this holds."""


class FieldRule(Section):
    """A column filled from the contributing record that wins it."""

    type: ColumnType
    rule: Rule
    """Over one record's inputs, `source_system` and `external_id`."""

    group: ColumnName | None = None
    """Fields of one group are taken from one record; without a group each field has its own
    winner: the strongest source that has a value."""

    priority: tuple[ColumnName, ...] = ()
    """The sources that may give it, strongest first; by default all, in the order of `sources`."""

    stored: bool = True
    """Whether it is a column, or only a name for other rules."""


class ChildField(Section):
    """A column of a child table."""

    type: ColumnType
    rule: Rule


class Lookup(Section):
    """Another list of the same document whose item belongs to the row."""

    list: Path
    key: Path
    """Path inside an item of the list."""

    equals: Path
    """Path in the row's scope."""


class Child(Section):
    """A table with a row per item of nested lists of the winning document."""

    table: ColumnName
    of: ColumnName
    """The group of fields whose winner gives the document."""

    each: Path
    """Nested lists, outermost first: `sections.turns` makes a row per turn of every section.

    In
    `inputs`, `sections.name` is then the section's name and `turns.text` the turn's text.
    """

    number: ColumnName
    """The column that counts the rows of one record from 1."""

    lookups: dict[ColumnName, Lookup] = Field(default_factory=dict)
    inputs: dict[ColumnName, Input]
    fields: dict[ColumnName, ChildField]


class Rollup(Section):
    """A whole number computed over the child rows of one record; 0 where there are none."""

    of: ColumnName
    """The child table."""

    rule: Rule
    stored: bool = True


class Derived(Section):
    """A value computed from the merged record; sees the derived values above it as well."""

    type: ColumnType
    rule: Rule
    stored: bool = True


class Validation(Section):
    """What a merged record must meet to enter silver (S2-27)."""

    name: ColumnName
    rule: Rule
    """Passes if true; null does not pass."""

    message: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Flag(Section):
    """A flag that is raised when a rule holds; null does not hold (C-17)."""

    flag: ColumnName
    when: Rule


class ExpectedSource(Section):
    """A source that every record should have (S2-21)."""

    name: ColumnName
    """Gives the flag `missing_<name>_source`."""

    when: Rule | None = None
    """When it counts as present; by default when a source of that name contributes."""


class Disagreement(Section):
    """Sources that contradict each other in a field (S2-23): gives the flag `<field>_mismatch`."""

    field: ColumnName


class Quality(Section):
    """How a record is scored: 1.00 less what its flags cost (S2-20 to S2-26)."""

    sources: tuple[ExpectedSource, ...] = ()
    """0.10 each when missing."""

    key_fields: tuple[ColumnName, ...] = ()
    """0.05 each when null: `missing_<field>`."""

    mismatches: tuple[Disagreement | Flag, ...] = ()
    """0.05 each."""

    informational: tuple[Flag, ...] = ()
    """They cost nothing."""


class EntityConfig(Section):
    """One silver entity: the whole file."""

    version: Literal[1]
    """Of the file's format."""

    entity_type: Name
    """As bronze calls it."""

    table: ColumnName
    """In schema `silver`."""

    description: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    """What a row is, for whoever looks at the table."""

    find_by: tuple[ColumnName, ...] = ()
    """Columns by which people look for a record, beside its id; indexed."""

    indexes: tuple[Annotated[tuple[ColumnName, ...], Field(min_length=1)], ...] = ()
    """Further indexes: the columns of each, in order."""

    ruleset_version: Annotated[int, Field(ge=1)]
    """Raised with every change of the rules; stored beside everything they produce."""

    inputs: dict[ColumnName, Input]
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    newest_first: tuple[ColumnName, ...] = ()
    """Inputs by which records of one source are ordered, highest first."""

    fields: Annotated[dict[ColumnName, FieldRule], Field(min_length=1)]
    identity: Identity | None = None
    """Which records are one entity; without it, those that bronze says."""

    references: tuple[Reference, ...] = ()
    children: tuple[Child, ...] = ()
    rollups: dict[ColumnName, Rollup] = Field(default_factory=dict)
    derived: dict[ColumnName, Derived] = Field(default_factory=dict)
    validations: tuple[Validation, ...] = ()
    quality: Quality = Quality()

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Self:
        problems = [
            *_duplicates("source", [source.name for source in self.sources]),
            *_duplicates("table", [self.table, *(child.table for child in self.children)]),
            *_duplicates("column", [*RESERVED_COLUMNS, *self.fields, *self.rollups, *self.derived]),
            *_unknown("newest_first", self.newest_first, self.inputs),
            *_unknown("quality.key_fields", self.quality.key_fields, self.column_types()),
            *_unknown("find_by", self.find_by, self.stored_columns()),
            *_unknown(
                "indexes", [name for index in self.indexes for name in index], self._readable()
            ),
            *_unknown(
                "references.field", [item.field for item in self.references], self.stored_columns()
            ),
            *_unknown("children.of", [child.of for child in self.children], self.groups()),
            *_unknown(
                "rollups.of",
                [rollup.of for rollup in self.rollups.values()],
                [child.table for child in self.children],
            ),
            *_unknown("quality.mismatches.field", self._disagreeing_fields(), self.fields),
            *self._priority_problems(),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def groups(self) -> set[str]:
        """Return the groups of fields that are won together."""
        return {field.group for field in self.fields.values() if field.group is not None}

    def units(self) -> dict[str, list[str]]:
        """Return the fields by what they are won together with: their group, or they alone."""
        found: dict[str, list[str]] = {}
        for name in self.fields:
            found.setdefault(self.unit_of(name), []).append(name)
        return found

    def unit_of(self, field: str) -> str:
        """Return the unit with which a field is won; groups and fields may share names."""
        group = self.fields[field].group
        return f"group {group}" if group else f"field {field}"

    def priority_of(self, unit: str) -> tuple[str, ...]:
        """Return the names of the sources that may win a unit, strongest first."""
        first = self.units()[unit][0]
        return self.fields[first].priority or tuple(source.name for source in self.sources)

    def column_types(self) -> dict[str, ColumnType]:
        """Return every value of the merged record, stored or not, with its type."""
        return {
            **{name: field.type for name, field in self.fields.items()},
            **dict.fromkeys(self.rollups, ColumnType.INTEGER),
            **{name: derived.type for name, derived in self.derived.items()},
        }

    def stored_columns(self) -> dict[str, ColumnType]:
        """Return the columns of the silver table that the rules fill, in order."""
        rules: dict[str, FieldRule | Rollup | Derived] = {
            **self.fields,
            **self.rollups,
            **self.derived,
        }
        return {name: kind for name, kind in self.column_types().items() if rules[name].stored}

    def _readable(self) -> set[str]:
        return {*self.stored_columns(), *RESERVED_COLUMNS}

    def _priority_problems(self) -> list[str]:
        known = [source.name for source in self.sources]
        problems = []
        for unit, members in self.units().items():
            first = self.fields[members[0]].priority
            for name in members:
                priority = self.fields[name].priority
                problems += _unknown(f"fields.{name}.priority", priority, known)
                problems += _duplicates(f"fields.{name}.priority", list(priority))
                if priority != first:
                    problems.append(f"fields.{name}.priority differs from others of {unit}")
        return problems

    def _disagreeing_fields(self) -> list[str]:
        return [item.field for item in self.quality.mismatches if isinstance(item, Disagreement)]


RESERVED_COLUMNS = (
    "entity_id",
    "version_count",
    "version_ids",
    "data_quality_score",
    "quality_flags",
    "version",
    "content_hash",
    "ruleset_version",
    "updated_at",
)
"""Columns that every silver table has."""


def _duplicates(what: str, names: list[str]) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    return [f"{what} `{name}` stands twice or is reserved" for name in repeated]


def _unknown(where: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    return [
        f"{where}: `{name}` is unknown; known: {', '.join(sorted(known)) or 'none'}"
        for name in names
        if name not in known
    ]
