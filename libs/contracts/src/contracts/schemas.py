"""A data set's columns changed at its source."""

from enum import StrEnum

from contracts.types import Identifier, JsonObject, Message, Name


class DriftKind(StrEnum):
    """How much the change hurts."""

    ADDITIVE = "additive"
    """New columns only: accepted with a warning."""

    BREAKING = "breaking"
    """Columns removed or retyped: quarantined until accepted."""


class SchemaDrifted(Message):
    """The observed schema of a data set differs from the registered one."""

    dataset: Name
    kind: DriftKind
    registered: JsonObject
    """Column name → type, as registered."""

    observed: JsonObject
    """Column name → type, as seen now."""

    run_id: Identifier | None = None
