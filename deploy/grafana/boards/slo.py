"""SLO: what was promised, what is left of the error budget, how fast it goes."""

from deploy.grafana.model import GREEN, ORANGE, RED, Board, Panel, Query, Row

_LEFT = ((None, RED), (0.1, ORANGE), (0.5, GREEN))
_REJECTED = (
    'sum by (consumer) (increase(penstock_events_processed_total{outcome="dead-lettered"}[30d])) / '
    "sum by (consumer) (increase(penstock_events_processed_total[30d]))"
)
_LATE = (
    '(1 - sum by (consumer) (increase(penstock_event_age_seconds_bucket{le="60.0"}[30d])) / '
    "sum by (consumer) (increase(penstock_event_age_seconds_count[30d])))"
)


def _burn(slo: str, budget: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"max(consumer:penstock_{slo}_errors:ratio_rate{window}) / {budget}", f"over {window}"
        )
        for window in ("5m", "1h", "6h", "3d")
    )


SLO = Board(
    uid="penstock-slo",
    title="Penstock / SLO",
    says="Delivery: 99.9 % of the messages are applied. Freshness: 99 % of the batches within a "
    "minute of their oldest event. Both over 30 days.",
    rows=(
        Row(
            "Delivery: 99.9 % of the messages are applied",
            (
                Panel(
                    title="Budget left, delivery",
                    says="Share of the 30-day budget of 0.1 % that is left, by consumer.",
                    kind="bars",
                    queries=(Query(f"clamp_min(1 - ({_REJECTED}) / 0.001, -1)", "{{consumer}}"),),
                    unit="percentunit",
                    maximum=1,
                    thresholds=_LEFT,
                    alert="DeliveryBudgetBurnsSlowly",
                ),
                Panel(
                    title="Burn rate, delivery",
                    says="How many times faster than allowed the budget goes, worst consumer. "
                    "14.4 over an hour and five minutes pages.",
                    queries=_burn("delivery", "0.001"),
                    thresholds=((None, GREEN), (1, ORANGE), (14.4, RED)),
                    alert="DeliveryBudgetBurnsFast",
                ),
                Panel(
                    title="Messages rejected over 30 days",
                    says="By consumer, as a share of all its messages.",
                    kind="table",
                    queries=(Query(_REJECTED, "{{consumer}}"),),
                    unit="percentunit",
                ),
            ),
        ),
        Row(
            "Freshness: 99 % of the batches within a minute",
            (
                Panel(
                    title="Budget left, freshness",
                    says="Share of the 30-day budget of 1 % that is left, by consumer.",
                    kind="bars",
                    queries=(Query(f"clamp_min(1 - {_LATE} / 0.01, -1)", "{{consumer}}"),),
                    unit="percentunit",
                    maximum=1,
                    thresholds=_LEFT,
                    alert="FreshnessBudgetBurnsSlowly",
                ),
                Panel(
                    title="Burn rate, freshness",
                    says="How many times faster than allowed the budget goes, worst consumer.",
                    queries=_burn("freshness", "0.01"),
                    thresholds=((None, GREEN), (1, ORANGE), (14.4, RED)),
                    alert="FreshnessBudgetBurnsFast",
                ),
                Panel(
                    title="Batches later than a minute over 30 days",
                    says="By consumer, as a share of all its batches.",
                    kind="table",
                    queries=(Query(_LATE, "{{consumer}}"),),
                    unit="percentunit",
                ),
            ),
        ),
    ),
)
