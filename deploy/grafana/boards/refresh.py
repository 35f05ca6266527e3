"""Refresh and WRDS: copies of databases and of the research archive."""

from deploy.grafana.model import GREEN, HEALTHY_AT_ZERO, ORANGE, RED, Board, Panel, Query, Row

_IDLE = "No refresh has run yet."

REFRESH = Board(
    uid="penstock-refresh",
    title="Penstock / Refresh and WRDS",
    says="Refreshes of UAT and the mirror of WRDS: how fresh, how long, what waits, what is full.",
    rows=(
        Row(
            "Refreshes",
            (
                Panel(
                    title="Time since the last refresh",
                    says="By table. A day and a half raise TableStale.",
                    kind="bars",
                    queries=(
                        Query(
                            "time() - max by (table) (refresher_refreshed_timestamp_seconds > 0)",
                            "{{table}}",
                        ),
                    ),
                    unit="s",
                    alert="TableStale",
                    may_be_empty=_IDLE,
                ),
                Panel(
                    title="Plans by verdict",
                    says="Since the start: ready, needs_approval, refused.",
                    kind="bars",
                    queries=(Query("sum by (verdict) (refresher_plans_total)", "{{verdict}}"),),
                ),
                Panel(
                    title="Plans that wait",
                    says="For somebody's approval, and how long the oldest has waited.",
                    kind="stat",
                    queries=(Query("max(refresher_plans_waiting)", "plans"),),
                    thresholds=((None, GREEN), (1, ORANGE)),
                    alert="RefreshAwaitsApproval",
                ),
                Panel(
                    title="Rows",
                    says="Per second: read, inserted, updated, deleted, kept.",
                    queries=(
                        Query(
                            "sum by (operation) (rate(refresher_rows_total[$__rate_interval]))",
                            "{{operation}}",
                        ),
                    ),
                    unit="ops",
                ),
                Panel(
                    title="Phases",
                    says="Time spent per phase since the start; `lock` is what readers notice.",
                    kind="bars",
                    queries=(
                        Query("sum by (phase) (refresher_phase_duration_seconds_sum)", "{{phase}}"),
                    ),
                    unit="s",
                ),
                Panel(
                    title="Stopped",
                    says="Since the start: by the guard against losing rows, by verification, taken "
                    "back by hand.",
                    kind="stat",
                    queries=(
                        Query("sum(refresher_guard_stops_total)", "guard"),
                        Query("sum(refresher_verification_failures_total)", "verification"),
                        Query("sum(refresher_undone_total)", "undone"),
                    ),
                    thresholds=HEALTHY_AT_ZERO,
                    alert="RefreshNotVerified",
                ),
            ),
        ),
        Row(
            "Mirror of WRDS",
            (
                Panel(
                    title="Data sets late",
                    says="1 while a session's data is missing after 8 AM Eastern Time.",
                    queries=(Query("max by (dataset) (wrds_sync_data_late)", "{{dataset}}"),),
                    maximum=1,
                    thresholds=HEALTHY_AT_ZERO,
                    alert="WrdsSyncDataLate",
                ),
                Panel(
                    title="Disk",
                    says="How full the mirror's disk is: 80 % warns, 90 % is critical, above 95 % "
                    "nothing is synced.",
                    queries=(Query("max(wrds_sync_disk_used_ratio)", "used"),),
                    unit="percentunit",
                    maximum=1,
                    thresholds=((None, GREEN), (0.8, ORANGE), (0.9, RED)),
                    alert="WrdsSyncDiskWarning",
                ),
                Panel(
                    title="Locks",
                    says="Since each lock was last refreshed; 0 without one.",
                    queries=(
                        Query("max by (dataset) (wrds_sync_lock_age_seconds)", "{{dataset}}"),
                    ),
                    unit="s",
                    alert="WrdsSyncLockStale",
                ),
                Panel(
                    title="Rows copied",
                    says="Per second, by data set.",
                    queries=(
                        Query(
                            "sum by (dataset) (rate(wrds_sync_rows_copied_total[$__rate_interval]))",
                            "{{dataset}}",
                        ),
                    ),
                    unit="ops",
                ),
                Panel(
                    title="Partitions by outcome",
                    says="Since the start: copied, timed out, rejected by a rule.",
                    kind="bars",
                    queries=(
                        Query("sum by (outcome) (wrds_sync_partitions_total)", "{{outcome}}"),
                    ),
                ),
                Panel(
                    title="Alert events",
                    says="Since the start, by their original names.",
                    kind="bars",
                    queries=(Query("sum by (alert) (wrds_sync_alert_events_total)", "{{alert}}"),),
                ),
            ),
        ),
    ),
)
