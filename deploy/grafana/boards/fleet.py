"""Fleet: is the hub well, at a glance; every other dashboard is one step from here."""

from deploy.grafana.model import (
    GREEN,
    HEALTHY_AT_ZERO,
    ORANGE,
    RED,
    Board,
    Panel,
    Query,
    Row,
)

FLEET = Board(
    uid="penstock-fleet",
    title="Penstock / Fleet",
    says="Is the hub well? Traffic, errors, delay and what waits for people, over all services.",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    title="Processes",
                    says="Processes that answer. Fewer than usual: ServiceDown.",
                    kind="stat",
                    queries=(Query("sum(penstock_build_info)", "processes"),),
                    width=4,
                    height=4,
                    alert="ServiceDown",
                ),
                Panel(
                    title="Alerts firing",
                    says="Without the watchdog, which always fires.",
                    kind="stat",
                    queries=(
                        Query(
                            'count(ALERTS{alertstate="firing", severity!="none"}) or vector(0)',
                            "alerts",
                        ),
                    ),
                    width=4,
                    height=4,
                    thresholds=HEALTHY_AT_ZERO,
                ),
                Panel(
                    title="Oldest backlog",
                    says="How long the oldest message that is not applied has been known. Seconds "
                    "are normal; ten minutes raise ConsumerBehind.",
                    kind="stat",
                    queries=(Query("max(penstock_consumer_lag_age_seconds)", "age"),),
                    unit="s",
                    width=4,
                    height=4,
                    thresholds=((None, GREEN), (60, ORANGE), (600, RED)),
                    alert="ConsumerBehind",
                ),
                Panel(
                    title="Open dead letters",
                    says="Messages that were rejected and that nobody has decided yet.",
                    kind="stat",
                    queries=(
                        Query("sum(max by (service, topic) (penstock_open_dead_letters))", "open"),
                    ),
                    width=4,
                    height=4,
                    thresholds=((None, GREEN), (1, ORANGE)),
                    alert="DeadLettersOpen",
                ),
                Panel(
                    title="Decisions waiting",
                    says="Held deletions, drifts and refreshes that wait for a person.",
                    kind="stat",
                    queries=(
                        Query("sum(max by (source) (scanner_held_deletions))", "deletions"),
                        Query("sum(max by (service) (penstock_waiting_drifts))", "drifts"),
                        Query("max(refresher_plans_waiting) or vector(0)", "refreshes"),
                    ),
                    width=4,
                    height=4,
                    thresholds=((None, GREEN), (1, ORANGE)),
                    alert="DeletionsHeld",
                ),
                Panel(
                    title="Dependencies",
                    says="The worst check of any service: 1 is reached, 0 is not.",
                    kind="stat",
                    queries=(
                        Query("min by (dependency) (penstock_dependency_up)", "{{dependency}}"),
                    ),
                    width=4,
                    height=4,
                    thresholds=((None, RED), (1, GREEN)),
                    alert="DependencyDown",
                ),
            ),
        ),
        Row(
            "Traffic and errors",
            (
                Panel(
                    title="Events applied",
                    says="Messages applied per second, by consumer.",
                    queries=(
                        Query(
                            "sum by (consumer) (rate(penstock_events_processed_total"
                            '{outcome="applied"}[$__rate_interval]))',
                            "{{consumer}}",
                        ),
                    ),
                    unit="ops",
                    is_stacked=True,
                ),
                Panel(
                    title="Messages rejected",
                    says="Dead letters per minute, by consumer. Zero is normal.",
                    queries=(
                        Query(
                            "60 * sum by (consumer) "
                            "(rate(penstock_dead_letters_total[$__rate_interval]))",
                            "{{consumer}}",
                        ),
                    ),
                    unit="opm",
                    alert="DeadLettersArriving",
                ),
                Panel(
                    title="Batches tried again",
                    says="Per minute: `transient` waits for a dependency, `bug` is a fault of ours.",
                    queries=(
                        Query(
                            "60 * sum by (consumer, kind) "
                            "(rate(penstock_batch_retries_total[$__rate_interval]))",
                            "{{consumer}} {{kind}}",
                        ),
                    ),
                    unit="opm",
                    alert="HandlerBug",
                ),
            ),
        ),
        Row(
            "Delay",
            (
                Panel(
                    title="Age of events",
                    says="From an event's time to the commit of its batch, 95th percentile by "
                    "consumer; a batch counts with its oldest event. A minute is the objective.",
                    queries=(
                        Query(
                            "histogram_quantile(0.95, sum by (le, consumer) "
                            "(rate(penstock_event_age_seconds_bucket[$__rate_interval])))",
                            "{{consumer}}",
                        ),
                    ),
                    unit="s",
                    thresholds=((None, GREEN), (60, RED)),
                    alert="FreshnessBudgetBurnsFast",
                ),
                Panel(
                    title="Age of the backlog",
                    says="How long the oldest message that is not applied has been known.",
                    queries=(
                        Query(
                            "max by (consumer, topic) (penstock_consumer_lag_age_seconds)",
                            "{{consumer}} {{topic}}",
                        ),
                    ),
                    unit="s",
                    alert="ConsumerBehind",
                ),
                Panel(
                    title="Messages waiting",
                    says="Messages that are not applied yet, by consumer.",
                    queries=(
                        Query("sum by (consumer) (penstock_consumer_lag_messages)", "{{consumer}}"),
                    ),
                    is_stacked=True,
                    alert="ConsumerStuck",
                ),
            ),
        ),
        Row(
            "Work",
            (
                Panel(
                    title="Runs in progress",
                    says="By service and kind; a run that never ends stays at 1.",
                    queries=(
                        Query(
                            "sum by (service, kind) (penstock_run_started_timestamp_seconds > bool 0)",
                            "{{service}} {{kind}}",
                        ),
                    ),
                    is_stacked=True,
                ),
                Panel(
                    title="Runs that ended",
                    says="In the last hour, by outcome.",
                    kind="bars",
                    queries=(
                        Query("sum by (status) (increase(penstock_runs_total[1h]))", "{{status}}"),
                    ),
                    alert="RunFailed",
                ),
                Panel(
                    title="Runs waiting",
                    says="How long the oldest run could have been started already, by service and "
                    "kind.",
                    queries=(
                        Query(
                            "max by (service, kind) (penstock_runs_oldest_queued_age_seconds)",
                            "{{service}} {{kind}}",
                        ),
                    ),
                    unit="s",
                    alert="RunsQueued",
                ),
            ),
        ),
    ),
)
