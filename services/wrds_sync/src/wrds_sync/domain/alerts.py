"""The events that somebody is called for (S5-42 … S5-51), by their original names."""

from enum import StrEnum


class Alert(StrEnum):
    """A log event, and a value of the label `alert`."""

    DISK_WARNING = "sync.disk.warning"
    DISK_CRITICAL = "sync.disk.critical"
    DISK_BLOCKED = "sync.disk.blocked"
    LOCK_STALE = "sync.lock.stale"
    CHECKSUM_MISMATCH = "sync.checksum.mismatch"
    BACKUP_FAILED = "sync.backup.failed"
    CREDENTIAL_EXPIRING = "sync.credential.expiring"
    MANIFEST_MISMATCH = "sync.manifest.mismatch"
    SLO_BREACH = "sync.duration.slo_breach"
    DATA_LATE = "sync.data.late"
