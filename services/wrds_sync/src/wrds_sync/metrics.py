"""What the mirror measures. Labels are configured names and fixed words."""

from prometheus_client import Counter, Gauge, Histogram

from wrds_sync.domain.alerts import Alert

ALERTS = Counter(
    "wrds_sync_alert_events_total", "Alert events, by their original name.", ("alert", "dataset")
)
DISK_USED = Gauge("wrds_sync_disk_used_ratio", "Share of the mirror's disk that is not free.")
DISK_FREE = Gauge("wrds_sync_disk_free_bytes", "Free space on the mirror's disk.")
LOCK_AGE = Gauge(
    "wrds_sync_lock_age_seconds", "Since the lock was last refreshed; 0 without one.", ("dataset",)
)
CREDENTIAL_EXPIRES = Gauge(
    "wrds_sync_credential_expires_timestamp_seconds", "When the log-on to the archive ends."
)
BACKUP_EXIT = Gauge("wrds_sync_backup_exit_code", "What rclone returned last.")
BACKUP_AT = Gauge(
    "wrds_sync_backup_timestamp_seconds", "When the last backup ended without an error."
)
INTEGRITY_PROBLEMS = Gauge(
    "wrds_sync_integrity_problems", "What the last verification found.", ("dataset", "kind")
)
SYNCED_AT = Gauge(
    "wrds_sync_synced_timestamp_seconds",
    "When the mirror was last found equal to the archive.",
    ("dataset",),
)
DATA_LATE = Gauge(
    "wrds_sync_data_late", "1 while a session's data is missing after 8 AM ET.", ("dataset",)
)
FROZEN = Gauge(
    "wrds_sync_feed_frozen", "1 while the archive's table has not moved for long.", ("dataset",)
)
SYNCS = Counter("wrds_sync_syncs_total", "Syncs that ended.", ("dataset", "mode", "outcome"))
SYNC_DURATION = Histogram(
    "wrds_sync_sync_duration_seconds",
    "From taking the lock to giving it back.",
    ("dataset", "mode"),
    buckets=(1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 28800),
)
SYNC_STARTED = Gauge(
    "wrds_sync_sync_started_timestamp_seconds",
    "Start of the sync in progress; 0 without one.",
    ("dataset", "mode"),
)
ROWS = Counter("wrds_sync_rows_copied_total", "Rows written.", ("dataset",))
PARTITIONS = Counter(
    "wrds_sync_partitions_total", "Partitions that were due, by outcome.", ("dataset", "outcome")
)
RESTATED_ROWS = Counter(
    "wrds_sync_restated_rows_total", "Published rows that changed or went.", ("dataset", "kind")
)
DRIFTS = Counter("wrds_sync_schema_drifts_total", "Changes of columns.", ("dataset", "kind"))

for _alert in Alert:
    # A counter that is born at 1 has no increase that an alert rule could see.
    ALERTS.labels(_alert.value, "")


def begin_dataset(dataset: str) -> None:
    """Let the counters of a data set begin at 0, as those above."""
    for kind in Alert:
        ALERTS.labels(kind.value, dataset)
    for mode in ("full", "incremental"):
        SYNC_STARTED.labels(dataset, mode)
    for outcome in ("copied", "timed-out", "rejected"):
        PARTITIONS.labels(dataset, outcome)
    ROWS.labels(dataset)
