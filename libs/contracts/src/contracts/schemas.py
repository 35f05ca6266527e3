"""A data set's columns changed at its source, and what a person decided about it."""

from enum import StrEnum
from uuid import UUID

from contracts.commands import Command
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
    service: Name | None = None
    """Who saw it; it alone answers a decision."""

    drift_id: Identifier | None = None
    """The entry of `meta.drifts`; what `schema.decision-requested` names."""


class Decision(StrEnum):
    """What becomes of a breaking change."""

    ACCEPT = "accept"
    """It becomes the data set's next known schema, and what was held back is run again."""

    REJECT = "reject"
    """What was held back stays where it is."""


class SchemaDecisionRequested(Command):
    """Accept or reject a breaking change of a schema."""

    drift_id: UUID
    decision: Decision
    reconsider: bool = False
    """Accept what was rejected before; without it a decision is final."""
