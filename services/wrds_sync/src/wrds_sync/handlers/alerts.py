"""The ten alerts (S5-42 … S5-51): each a structured log event and a count."""

from chassis.logs import get_logger
from wrds_sync import metrics
from wrds_sync.domain.alerts import Alert
from wrds_sync.domain.disk import DiskLevel, DiskSpaceStatus

_DISK = {
    DiskLevel.WARNING: Alert.DISK_WARNING,
    DiskLevel.CRITICAL: Alert.DISK_CRITICAL,
    DiskLevel.BLOCKED: Alert.DISK_BLOCKED,
}


def alert(kind: Alert, *, dataset: str = "", **facts: object) -> None:
    """Raise an alert."""
    metrics.ALERTS.labels(kind.value, dataset).inc()
    get_logger().error(kind.value, alert=kind.value, dataset=dataset, **facts)


def alert_disk(status: DiskSpaceStatus, *, dataset: str = "") -> None:
    """Measure the disk, and raise the alert of its level."""
    metrics.DISK_USED.set(status.usage.used_share)
    metrics.DISK_FREE.set(status.usage.free_bytes)
    kind = _DISK.get(status.level)
    if kind is not None:
        alert(
            kind,
            dataset=dataset,
            used_share=round(status.usage.used_share, 4),
            free_bytes=status.usage.free_bytes,
            required_bytes=status.required_bytes,
        )
