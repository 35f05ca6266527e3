"""What the refresher counts, beside what every service does."""

from prometheus_client import Counter, Gauge, Histogram

PLANS = Counter(
    "refresher_plans_total",
    "Plans made, by verdict: ready, needs_approval or refused.",
    ("verdict",),
)
PLANS_WAITING = Gauge("refresher_plans_waiting", "Plans that wait for somebody's approval.")
PLANS_OLDEST = Gauge(
    "refresher_plans_oldest_waiting_age_seconds",
    "How long the plan that has waited longest has waited; 0 without one.",
)
REFRESHED_AT = Gauge(
    "refresher_refreshed_timestamp_seconds",
    "When the table was last refreshed; 0 before the first time.",
    ("table",),
)
REFUSALS = Counter(
    "refresher_target_refusals_total",
    "Refreshes that did not begin because the target was not proven, by reason.",
    ("reason",),
)
ROWS = Counter(
    "refresher_rows_total", "Rows read, inserted, updated, deleted and kept.", ("operation",)
)
BYTES = Counter("refresher_read_bytes_total", "Bytes read from production.")
PHASE_DURATION = Histogram(
    "refresher_phase_duration_seconds",
    "Per table: read, build, verify, and per swap: wait (for the lock), lock (while it is held).",
    ("phase",),
    buckets=(0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 900, 3600),
)
RETRIES = Counter("refresher_load_retries_total", "Loads that were begun again after an outage.")
VERIFICATION_FAILURES = Counter(
    "refresher_verification_failures_total", "Tables whose staging was not what the source holds."
)
GUARD_STOPS = Counter(
    "refresher_guard_stops_total", "Refreshes that stopped because too many rows would go."
)
UNDONE = Counter("refresher_undone_total", "Refreshes that were taken back.")

for _verdict in ("ready", "needs_approval", "refused"):
    # A counter that is born at 1 has no increase that an alert could see.
    PLANS.labels(_verdict)
for _operation in ("read", "inserted", "updated", "deleted", "kept"):
    ROWS.labels(_operation)
for _phase in ("read", "build", "verify", "wait", "lock"):
    PHASE_DURATION.labels(_phase)
