"""What the ingestor counts.

Labels are bounded: sources are configured, the rest is enumerated.
"""

from prometheus_client import Counter, Gauge, Histogram

FILES = Counter(
    "ingestor_file_events_total",
    "File events applied, by what came of them: stored, tombstoned, unchanged, duplicate, "
    "superseded, absent, vanished, rejected.",
    ("source", "outcome"),
)
RECORDS = Counter(
    "ingestor_record_events_total",
    "Record events applied, by what came of them: stored, tombstoned, unchanged, duplicate, "
    "absent, rejected.",
    ("source", "outcome"),
)
ENRICHMENTS = Counter(
    "ingestor_enrichments_total",
    "Records whose full form was asked for, by what came of it: completed, superseded, postponed, "
    "failed.",
    ("source", "outcome"),
)
ENRICHMENTS_WAITING = Gauge(
    "ingestor_enrichments_waiting", "Records whose full form is still to be fetched.", ("source",)
)
FETCHED_BYTES = Counter("ingestor_fetched_bytes_total", "Bytes read from shares.", ("source",))
FETCH_DURATION = Histogram(
    "ingestor_fetch_duration_seconds",
    "From asking a share for a file to having it whole.",
    ("source",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
PARSE_DURATION = Histogram(
    "ingestor_parse_duration_seconds",
    "From bytes to canonical JSON.",
    ("parser",),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
IN_FLIGHT_BYTES = Gauge(
    "ingestor_in_flight_bytes", "Memory reserved for files being fetched, stored and parsed."
)


def begin_source(source: str) -> None:
    """Let the counters of a source begin at 0: one that is born at 1 has no increase."""
    for outcome in ("stored", "tombstoned", "unchanged", "duplicate", "superseded", "rejected"):
        FILES.labels(source, outcome)
    for outcome in ("stored", "tombstoned", "unchanged", "duplicate", "rejected"):
        RECORDS.labels(source, outcome)
    FETCHED_BYTES.labels(source)
