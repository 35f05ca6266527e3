"""When the disk says stop (S5-20)."""

from dataclasses import dataclass
from enum import StrEnum

WARNING_SHARE = 0.80
CRITICAL_SHARE = 0.90
BLOCKED_SHARE = 0.95
HEADROOM = 2
"""Free space must hold what is written this many times."""


class DiskLevel(StrEnum):
    """How full the disk is."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """A file system, for an ordinary user."""

    total_bytes: int
    free_bytes: int

    @property
    def used_share(self) -> float:
        """What is not free, from 0 to 1."""
        return 1 - self.free_bytes / self.total_bytes if self.total_bytes else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpaceStatus:
    """Whether so many bytes may be written."""

    usage: DiskUsage
    required_bytes: int
    level: DiskLevel

    @property
    def has_room(self) -> bool:
        """Whether twice the required bytes are free."""
        return self.usage.free_bytes >= HEADROOM * self.required_bytes

    @property
    def may_write(self) -> bool:
        """Whether a sync may begin."""
        return self.level is not DiskLevel.BLOCKED and self.has_room


def assess(usage: DiskUsage, required_bytes: int) -> DiskSpaceStatus:
    """Judge a file system."""
    return DiskSpaceStatus(usage=usage, required_bytes=required_bytes, level=_level(usage))


def _level(usage: DiskUsage) -> DiskLevel:
    share = usage.used_share
    if share > BLOCKED_SHARE:
        return DiskLevel.BLOCKED
    if share > CRITICAL_SHARE:
        return DiskLevel.CRITICAL
    if share > WARNING_SHARE:
        return DiskLevel.WARNING
    return DiskLevel.OK
