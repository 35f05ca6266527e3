from prometheus_client import REGISTRY

from ingestor import metrics


def test_files_are_counted_by_source_and_outcome() -> None:
    labels = {"source": "test-metrics", "outcome": "stored"}
    metrics.FILES.labels(**labels).inc()
    assert REGISTRY.get_sample_value("ingestor_file_events_total", labels) == 1.0


def test_every_name_says_whose_it_is_and_in_what_unit() -> None:
    for metric in (
        metrics.FETCHED_BYTES,
        metrics.FETCH_DURATION,
        metrics.PARSE_DURATION,
        metrics.IN_FLIGHT_BYTES,
    ):
        [family] = metric.collect()
        assert family.name.startswith("ingestor_")
        assert family.name.endswith(("_bytes", "_seconds"))
