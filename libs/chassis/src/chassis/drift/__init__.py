"""Schema drift: changes that a service sees at its sources, and what a person decides about them
(docs/decisions/0029).
"""

from chassis.drift.affected import silver_fields
from chassis.drift.decisions import OnAccept, OnReject, decision_handler
from chassis.drift.inbox import Drift, SchemaDriftError, Standing, StoredDrift, report, standing
from chassis.drift.schemas import KnownSchema, hold, known_schemas, register

__all__ = [
    "Drift",
    "KnownSchema",
    "OnAccept",
    "OnReject",
    "SchemaDriftError",
    "Standing",
    "StoredDrift",
    "decision_handler",
    "hold",
    "known_schemas",
    "register",
    "report",
    "silver_fields",
    "standing",
]
