"""What the scanner measures (S1-38). Labels are configured names and fixed words, never paths."""

from prometheus_client import Counter, Gauge, Histogram

from contracts.errors import ErrorCategory

SHARE_UP = Gauge("scanner_share_up", "1 if the share answered the last scan.", ("source",))
SHARE_FILES = Gauge(
    "scanner_share_files", "Files that the last complete full scan listed.", ("source",)
)
INVENTORY_FILES = Gauge("scanner_inventory_files", "Files known to exist.", ("source",))
FILES_TO_PROCESS = Gauge(
    "scanner_to_process_files", "New and modified files that the last scan announced.", ("source",)
)
FILES_TO_REMOVE = Gauge(
    "scanner_to_remove_files", "Deletions that the last scan announced.", ("source",)
)
FILES_CHANGED = Counter("scanner_files_changed_total", "Changes announced.", ("source", "change"))
FILES_UNMONITORED = Counter(
    "scanner_files_unmonitored_total",
    "Changes announced for files of no monitored institution.",
    ("source",),
)
ENTRIES_REFUSED = Counter(
    "scanner_entries_refused_total", "Entries that cannot be mirrored.", ("source", "reason")
)
ERRORS = Counter("scanner_errors_total", "Failures, by category.", ("category",))
SCANS = Counter("scanner_scans_total", "Scans that ended.", ("source", "mode", "outcome"))
SCAN_DURATION = Histogram(
    "scanner_scan_duration_seconds",
    "From opening the share to the last announcement.",
    ("source", "mode"),
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1800, 3600, 7200),
)
SCAN_RATE = Gauge(
    "scanner_scan_rate_files", "Files listed per second by the last scan.", ("source",)
)
LISTING_DURATION = Histogram(
    "scanner_listing_duration_seconds",
    "One directory listing.",
    ("source",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30),
)
DIRECTORIES_SKIPPED = Counter(
    "scanner_directories_skipped_total",
    "Directories that a fast pass left out because their time had not moved.",
    ("source",),
)
COMPLETE_SCAN_AT = Gauge(
    "scanner_complete_scan_timestamp_seconds",
    "When the last complete scan ended.",
    ("source", "mode"),
)
INTERVAL = Gauge(
    "scanner_interval_seconds",
    "How often a source is looked at; no series for sources that only flows and commands start.",
    ("source",),
)
LAST_COMPLETE = Gauge(
    "scanner_last_complete_timestamp_seconds",
    "When the last complete scan or poll of any replica ended; 0 before the first.",
    ("source",),
)
HELD_DELETIONS = Gauge("scanner_held_deletions", "Deletions that wait for a person.", ("source",))
DELETIONS_REFUSED = Counter(
    "scanner_deletions_refused_total", "Missing files that a probe did not confirm.", ("source",)
)
REANNOUNCED = Counter(
    "scanner_reannounced_total", "Announcements repeated for want of an answer.", ("source",)
)
UNANSWERED = Gauge(
    "scanner_unanswered_announcements",
    "Files that bronze lacks, or still has, after every repetition of their announcement.",
    ("source",),
)
SOURCE_UP = Gauge(
    "scanner_source_up", "1 if the record source answered the last poll.", ("source",)
)
POLLS = Counter("scanner_polls_total", "Polls that ended.", ("source", "mode", "outcome"))
POLL_DURATION = Histogram(
    "scanner_poll_duration_seconds",
    "From opening the record source to the last announcement.",
    ("source", "mode"),
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1800, 3600, 7200),
)
POLL_RECORDS = Gauge("scanner_poll_records", "Records that the last poll was told.", ("source",))
COMPLETE_POLL_AT = Gauge(
    "scanner_complete_poll_timestamp_seconds",
    "When the last complete poll ended.",
    ("source", "mode"),
)
RECORDS_KNOWN = Gauge("scanner_known_records", "Records known to exist.", ("source",))
RECORDS_CHANGED = Counter(
    "scanner_records_changed_total", "Changes of records announced.", ("source", "change")
)
RECORD_FAILURES = Counter(
    "scanner_record_failures_total", "Records that could not be read.", ("source", "category")
)

for _category in ErrorCategory:
    # A counter that is born at 1 has no increase that an alert could see.
    ERRORS.labels(_category.value)


def begin_source(source: str) -> None:
    """Let the counters of a source begin at 0, as those above."""
    for change in ("added", "modified", "deleted"):
        FILES_CHANGED.labels(source, change)
    for change in ("new", "changed", "repeated", "deleted"):
        RECORDS_CHANGED.labels(source, change)
    for category in (ErrorCategory.CONTENT_VALIDATION, ErrorCategory.SOURCE_REQUEST):
        RECORD_FAILURES.labels(source, category.value)
    DELETIONS_REFUSED.labels(source)
    REANNOUNCED.labels(source)
    UNANSWERED.labels(source)
    INVENTORY_FILES.labels(source)


def count_error(category: ErrorCategory) -> None:
    """Count one failure."""
    ERRORS.labels(category.value).inc()
