"""What operators are told of a consumer's partitions: gauges, and logs that are not what they
seem.
"""

import contextlib

from chassis import metrics
from chassis.bus.lag import LagAge
from chassis.clock import Clock
from chassis.logs import get_logger


class Standing:
    """Speaks for one consumer and one topic."""

    def __init__(self, consumer: str, topic: str, clock: Clock) -> None:
        self._consumer = consumer
        self._topic = topic
        self._clock = clock
        self._ages: dict[int, LagAge] = {}

    def measure(self, partition: int, *, next_offset: int, lag: int) -> None:
        """Set the gauges of a partition that is consumed here."""
        labels = (self._consumer, self._topic, str(partition))
        metrics.CONSUMER_OFFSET.labels(*labels).set(next_offset)
        metrics.CONSUMER_LAG.labels(*labels).set(lag)
        age = self._ages.setdefault(partition, LagAge()).measure(
            next_offset + lag, next_offset, now=self._clock.monotonic()
        )
        metrics.CONSUMER_LAG_AGE.labels(*labels).set(age)

    def forget(self, partition: int) -> None:
        """Measure no more what another member consumes now: an old value would stand for ever."""
        self._ages.pop(partition, None)
        for gauge in (metrics.CONSUMER_OFFSET, metrics.CONSUMER_LAG, metrics.CONSUMER_LAG_AGE):
            with contextlib.suppress(KeyError):  # it was never measured
                gauge.remove(self._consumer, self._topic, str(partition))

    def report_missing(self, partition: int, *, expected: int, missing: int) -> None:
        """Tell that the broker expired records before they were read."""
        metrics.POSITION_RESETS.labels(self._consumer, self._topic, "gap").inc()
        get_logger().error(
            "records_missing",
            topic=self._topic,
            partition=partition,
            expected=expected,
            missing=missing,
        )

    def report_reset(self, partition: int, reason: str) -> None:
        """Tell that a log is not the one that was read before."""
        metrics.POSITION_RESETS.labels(self._consumer, self._topic, reason).inc()
        get_logger().error(
            "position_reset",
            topic=self._topic,
            partition=partition,
            reason=reason,
            next_step="records are read from the beginning of the log; effects are idempotent",
        )
