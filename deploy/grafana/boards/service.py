"""Service: one service in depth, for whoever looks for the cause."""

from deploy.grafana.model import GREEN, ORANGE, RED, Board, Panel, Query, Row, Variable

SERVICE = Board(
    uid="penstock-service",
    title="Penstock / Service",
    says="One service: what it does, what it waits for, what it takes.",
    variables=(Variable("job", "service", "label_values(penstock_build_info, job)"),),
    rows=(
        Row(
            "Work",
            (
                Panel(
                    title="Messages by outcome",
                    says="Per second. Dead letters are rejected for good.",
                    queries=(
                        Query(
                            "sum by (outcome) (rate(penstock_events_processed_total"
                            '{job=~"$job"}[$__rate_interval]))',
                            "{{outcome}}",
                        ),
                    ),
                    unit="ops",
                    is_stacked=True,
                ),
                Panel(
                    title="Batch duration",
                    says="From a batch in hand to its commit; half, 95 % and 99 % of the batches "
                    "are faster.",
                    queries=tuple(
                        Query(
                            f"histogram_quantile({share}, sum by (le) "
                            '(rate(penstock_batch_duration_seconds_bucket{job=~"$job"}'
                            "[$__rate_interval])))",
                            name,
                        )
                        for share, name in ((0.5, "50 %"), (0.95, "95 %"), (0.99, "99 %"))
                    ),
                    unit="s",
                ),
                Panel(
                    title="Batches tried again",
                    says="Per minute: `transient` waits for a dependency, `bug` is a fault of ours.",
                    queries=(
                        Query(
                            "60 * sum by (kind) (rate(penstock_batch_retries_total"
                            '{job=~"$job"}[$__rate_interval]))',
                            "{{kind}}",
                        ),
                    ),
                    unit="opm",
                    alert="HandlerBug",
                ),
            ),
        ),
        Row(
            "What it waits for",
            (
                Panel(
                    title="Dependencies",
                    says="1 while the service's own check succeeds.",
                    queries=(
                        Query(
                            'min by (job, dependency) (penstock_dependency_up{job=~"$job"})',
                            "{{job}} {{dependency}}",
                        ),
                    ),
                    maximum=1,
                    alert="DependencyDown",
                ),
                Panel(
                    title="Database connections",
                    says="Open and idle connections of the pool. Idle at 0 for long: too few.",
                    queries=(
                        Query(
                            'sum by (state) (penstock_pool_connections{job=~"$job"})', "{{state}}"
                        ),
                    ),
                ),
                Panel(
                    title="Object store",
                    says="Calls to the object store, repetitions included: 95 % are faster.",
                    queries=(
                        Query(
                            "histogram_quantile(0.95, sum by (le, operation) "
                            "(rate(penstock_blob_duration_seconds_bucket[$__rate_interval])))",
                            "{{operation}}",
                        ),
                    ),
                    unit="s",
                ),
            ),
        ),
        Row(
            "What it takes",
            (
                Panel(
                    title="Processor",
                    says="Cores in use, by process.",
                    queries=(
                        Query(
                            'rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval])',
                            "{{job}} {{instance}}",
                        ),
                    ),
                ),
                Panel(
                    title="Memory",
                    says="Resident memory, by process. It should level off.",
                    queries=(
                        Query('process_resident_memory_bytes{job=~"$job"}', "{{job}} {{instance}}"),
                    ),
                    unit="bytes",
                ),
                Panel(
                    title="Event loop",
                    says="How late timers run. Above a second, something blocks the loop.",
                    queries=(
                        Query('penstock_loop_lag_seconds{job=~"$job"}', "{{job}} {{instance}}"),
                    ),
                    unit="s",
                    thresholds=((None, GREEN), (0.25, ORANGE), (1, RED)),
                ),
                Panel(
                    title="Open files",
                    says="Descriptors in use, by process.",
                    queries=(Query('process_open_fds{job=~"$job"}', "{{job}} {{instance}}"),),
                ),
                Panel(
                    title="Running since",
                    says="Time since each process started. Short for many: CrashLoop.",
                    kind="bars",
                    queries=(
                        Query(
                            'time() - process_start_time_seconds{job=~"$job"}',
                            "{{job}} {{instance}}",
                        ),
                    ),
                    unit="s",
                    alert="CrashLoop",
                ),
                Panel(
                    title="Leases",
                    says="Leases held, by kind: exactly one replica of a service holds `outbox`.",
                    queries=(
                        Query(
                            'sum by (job, kind) (penstock_lease_held{job=~"$job"})',
                            "{{job}} {{kind}}",
                        ),
                    ),
                    alert="LeaseNotHeld",
                ),
            ),
        ),
    ),
)
