"""What the console counts.

Labels are bounded: routes stand in a table, the rest is enumerated.
"""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Histogram(
    "console_request_duration_seconds",
    "From the request to the end of its answer, streams left out.",
    ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10),
)
REFUSED = Counter("console_requests_refused_total", "Requests that the guard stopped.", ("status",))
LOGINS = Counter(
    "console_logins_total",
    "Attempts to log on, by way (password, oidc) and outcome (accepted, refused, limited).",
    ("way", "outcome"),
)
COMMANDS = Counter("console_commands_total", "Commands given.", ("topic",))
LISTENERS = Gauge("console_listeners", "Pages that listen for changes.")
