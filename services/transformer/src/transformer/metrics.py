"""What the transformer counts, beside what every service does."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter(
    "transformer_records_total",
    "Entities recomputed, by outcome: upserted, unchanged, retired or rejected.",
    ("entity_type", "outcome"),
)
QUALITY = Histogram(
    "transformer_quality_score_ratio",
    "Scores of the records that were written.",
    ("entity_type",),
    buckets=(0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0),
)
RECOMPUTE_DURATION = Histogram(
    "transformer_recompute_duration_seconds",
    "From locking a batch of entities to the last row written, before the commit.",
    ("entity_type",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
IGNORED = Counter(
    "transformer_events_ignored_total",
    "Bronze events of entity types without rules.",
)
REFUSED_KEYS = Counter(
    "transformer_identity_keys_refused_total",
    "Key values that were found to link nothing: too common, or joining what contradicts.",
    ("entity_type",),
)
ENTITIES = Gauge(
    "transformer_entities",
    "Entities in silver: live, retired or rejected.",
    ("entity_type", "status"),
)
WRITTEN_AT = Gauge(
    "transformer_written_timestamp_seconds",
    "When a record of this type last changed in silver; 0 before the first.",
    ("entity_type",),
)


def begin_entity(entity_type: str) -> None:
    """Let every series of an entity type begin at 0: one that is born at 1 has no increase."""
    for outcome in ("upserted", "unchanged", "retired", "rejected"):
        RECORDS.labels(entity_type, outcome)
    for status in ("live", "retired", "rejected"):
        ENTITIES.labels(entity_type, status).set(0)
    QUALITY.labels(entity_type)
    RECOMPUTE_DURATION.labels(entity_type)
    REFUSED_KEYS.labels(entity_type)
    WRITTEN_AT.labels(entity_type).set(0)
