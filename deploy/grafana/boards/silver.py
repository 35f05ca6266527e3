"""Silver and quality: what readers get, and how good it is."""

from deploy.grafana.model import GREEN, ORANGE, Board, Panel, Query, Row, Variable

_TYPE = '{entity_type=~"$entity"}'

SILVER = Board(
    uid="penstock-silver",
    title="Penstock / Silver and quality",
    says="Silver: how much there is, how it changes, how good it is, what it costs to make.",
    variables=(Variable("entity", "entity", "label_values(transformer_entities, entity_type)"),),
    rows=(
        Row(
            "What there is",
            (
                Panel(
                    title="Entities",
                    says="Live entities in silver, by type.",
                    kind="table",
                    queries=(
                        Query(
                            "max by (entity_type) (transformer_entities"
                            '{status="live", entity_type=~"$entity"})',
                            "{{entity_type}}",
                        ),
                    ),
                ),
                Panel(
                    title="Retired and rejected",
                    says="Entities that left silver because their sources did, or that break rules.",
                    queries=(
                        Query(
                            "sum by (status) (max by (entity_type, status) (transformer_entities"
                            '{status!="live", entity_type=~"$entity"}))',
                            "{{status}}",
                        ),
                    ),
                ),
                Panel(
                    title="Time since the last change",
                    says="By type. What is normal depends on the source.",
                    kind="bars",
                    queries=(
                        Query(
                            "time() - max by (entity_type) "
                            f"(transformer_written_timestamp_seconds{_TYPE} > 0)",
                            "{{entity_type}}",
                        ),
                    ),
                    unit="s",
                ),
            ),
        ),
        Row(
            "How it changes",
            (
                Panel(
                    title="Entities recomputed",
                    says="Per second, by outcome. `unchanged` costs little and is normal.",
                    queries=(
                        Query(
                            "sum by (outcome) "
                            f"(rate(transformer_records_total{_TYPE}[$__rate_interval]))",
                            "{{outcome}}",
                        ),
                    ),
                    unit="ops",
                    is_stacked=True,
                ),
                Panel(
                    title="Recompute duration",
                    says="Of a batch, before its commit: 95 % are faster.",
                    queries=(
                        Query(
                            "histogram_quantile(0.95, sum by (le, entity_type) (rate("
                            f"transformer_recompute_duration_seconds_bucket{_TYPE}"
                            "[$__rate_interval])))",
                            "{{entity_type}}",
                        ),
                    ),
                    unit="s",
                ),
                Panel(
                    title="Delay to silver",
                    says="From the bronze event to the silver row's commit: half and 95 % are faster.",
                    queries=tuple(
                        Query(
                            f"histogram_quantile({share}, sum by (le) "
                            '(rate(penstock_event_age_seconds_bucket{consumer="transformer"}'
                            "[$__rate_interval])))",
                            name,
                        )
                        for share, name in ((0.5, "50 %"), (0.95, "95 %"))
                    ),
                    unit="s",
                ),
            ),
        ),
        Row(
            "How good it is",
            (
                Panel(
                    title="Mean quality",
                    says="Mean score of the records that were written since the start; 1 is perfect.",
                    kind="bars",
                    queries=(
                        Query(
                            f"sum by (entity_type) (transformer_quality_score_ratio_sum{_TYPE}) / "
                            f"(sum by (entity_type) (transformer_quality_score_ratio_count{_TYPE}) > 0)",
                            "{{entity_type}}",
                        ),
                    ),
                    unit="percentunit",
                    maximum=1,
                ),
                Panel(
                    title="Scores of 0.8 and less",
                    says="Share of the records written that score 0.8 or less.",
                    queries=(
                        Query(
                            "sum by (entity_type) (transformer_quality_score_ratio_bucket"
                            '{le="0.8", entity_type=~"$entity"}) / (sum by (entity_type) '
                            f"(transformer_quality_score_ratio_count{_TYPE}) > 0)",
                            "{{entity_type}}",
                        ),
                    ),
                    unit="percentunit",
                    maximum=1,
                ),
                Panel(
                    title="Drifts and refused keys",
                    says="Breaking changes of schemas that wait for a decision, and key values that "
                    "link nothing because they are too common or contradict.",
                    queries=(
                        Query(
                            "sum(max by (service) (penstock_waiting_drifts))", "drifts that wait"
                        ),
                        Query(
                            f"sum(transformer_identity_keys_refused_total{_TYPE})",
                            "keys refused since start",
                        ),
                    ),
                    thresholds=((None, GREEN), (1, ORANGE)),
                    alert="DriftWaiting",
                ),
            ),
        ),
    ),
)
