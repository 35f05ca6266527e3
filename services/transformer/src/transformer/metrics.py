"""What the transformer counts, beside what every service does."""

from prometheus_client import Counter, Histogram

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
