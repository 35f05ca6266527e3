"""Metrics keep to the conventions of Prometheus, and their labels stay bounded."""

import pytest
from prometheus_client.metrics import MetricWrapperBase

from chassis import metrics

METRICS = {
    name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)
}
UNBOUNDED = {"path", "file", "id", "run_id", "event_id", "key", "message", "error", "url", "user"}


@pytest.mark.parametrize("name", METRICS)
def test_no_label_grows_with_the_data(name: str) -> None:
    assert UNBOUNDED.isdisjoint(METRICS[name]._labelnames)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is(name: str) -> None:
    metric = METRICS[name]

    assert metric._name.startswith("penstock_")
    assert metric._documentation.endswith(".")
    assert metric._documentation[0].isupper() or metric._documentation[0].isdigit()


def test_the_promised_metrics_are_there() -> None:
    names = {metric._name for metric in METRICS.values()}

    assert {
        "penstock_events_processed",
        "penstock_dead_letters",
        "penstock_consumer_lag_messages",
        "penstock_runs",
        "penstock_dependency_up",
        "penstock_outbox_pending",
    } <= names
