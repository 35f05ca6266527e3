"""Kafka: what lies between the services: outbox, topics, partitions, members."""

from deploy.grafana.model import GREEN, ORANGE, RED, Board, Panel, Query, Row, Variable

KAFKA = Board(
    uid="penstock-kafka",
    title="Penstock / Kafka",
    says="Events on their way: from the outbox through the topics to each partition's position.",
    variables=(
        Variable("consumer", "consumer", "label_values(penstock_consumer_lag_messages, consumer)"),
    ),
    rows=(
        Row(
            "Out",
            (
                Panel(
                    title="Outbox",
                    says="Events that were committed and wait to be published.",
                    queries=(Query("max by (service) (penstock_outbox_pending)", "{{service}}"),),
                    is_stacked=True,
                    alert="OutboxOld",
                ),
                Panel(
                    title="Age of the outbox",
                    says="How long the oldest of them has waited. Two minutes raise an alert.",
                    queries=(
                        Query(
                            "max by (service) (penstock_outbox_oldest_age_seconds)", "{{service}}"
                        ),
                    ),
                    unit="s",
                    thresholds=((None, GREEN), (30, ORANGE), (120, RED)),
                    alert="OutboxOld",
                ),
                Panel(
                    title="Events published",
                    says="Per second, by topic.",
                    queries=(
                        Query(
                            "sum by (topic) (rate(penstock_outbox_relayed_total[$__rate_interval]))",
                            "{{topic}}",
                        ),
                    ),
                    unit="ops",
                    is_stacked=True,
                ),
            ),
        ),
        Row(
            "In",
            (
                Panel(
                    title="Lag by topic",
                    says="Messages that are not applied yet.",
                    queries=(
                        Query(
                            "sum by (consumer, topic) "
                            '(penstock_consumer_lag_messages{consumer=~"$consumer"})',
                            "{{consumer}} {{topic}}",
                        ),
                    ),
                    is_stacked=True,
                    alert="ConsumerStuck",
                ),
                Panel(
                    title="Progress",
                    says="Offsets passed per second, by consumer and topic. Flat while lag is above "
                    "0: ConsumerStuck.",
                    queries=(
                        Query(
                            "sum by (consumer, topic) (deriv(penstock_consumer_committed_offset"
                            '{consumer=~"$consumer"}[$__rate_interval]))',
                            "{{consumer}} {{topic}}",
                        ),
                    ),
                    unit="ops",
                    alert="ConsumerStuck",
                ),
                Panel(
                    title="Partitions that wait",
                    says="Held back while a message of theirs waits for a dependency, or fails.",
                    queries=(
                        Query(
                            "sum by (consumer, topic) "
                            '(penstock_partitions_paused{consumer=~"$consumer"})',
                            "{{consumer}} {{topic}}",
                        ),
                    ),
                    is_stacked=True,
                    thresholds=((None, GREEN), (1, ORANGE)),
                ),
                Panel(
                    title="Oldest by partition",
                    says="The ten partitions whose backlog is oldest.",
                    kind="table",
                    queries=(
                        Query(
                            "topk(10, max by (consumer, topic, partition) "
                            '(penstock_consumer_lag_age_seconds{consumer=~"$consumer"}))',
                            "{{consumer}} {{topic}}/{{partition}}",
                        ),
                    ),
                    unit="s",
                    width=12,
                    thresholds=((None, GREEN), (60, ORANGE), (600, RED)),
                    alert="ConsumerBehind",
                ),
                Panel(
                    title="Assignments",
                    says="Rebalances per consumer group since its processes started. Steps belong "
                    "to starts and stops.",
                    queries=(
                        Query(
                            'sum by (consumer) (penstock_rebalances_total{consumer=~"$consumer"})',
                            "{{consumer}}",
                        ),
                    ),
                    width=6,
                ),
                Panel(
                    title="Positions that did not fit",
                    says="The log was made anew, or lost records. Zero is normal.",
                    kind="stat",
                    queries=(
                        Query("sum(penstock_position_resets_total) or vector(0)", "since start"),
                    ),
                    width=6,
                    thresholds=((None, GREEN), (1, RED)),
                    alert="PositionReset",
                ),
            ),
        ),
    ),
)
