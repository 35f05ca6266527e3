"""Where bad files go: out of the way, with the reason, for a week (S5-21)."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from chassis.clock import Clock

_FORM = "%Y-%m-%dT%H-%M-%S"


class Quarantine:
    """A folder of `<timestamp>_<operation>` folders."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def take(self, path: Path, operation: str, reason: str) -> Path | None:
        """Move a file in; None where there is none, or not even room for a folder.

        On a full disk the file is removed: room is what everybody else needs.
        """
        if not path.exists():
            return None
        now = self._clock.now()
        place = self._folder / f"{now.strftime(_FORM)}_{operation}"
        facts = {"file": path.name, "operation": operation, "reason": reason, "at": now.isoformat()}
        try:
            place.mkdir(parents=True, exist_ok=True)
            path.rename(place / path.name)
            (place / f"{path.name}.reason.json").write_text(json.dumps(facts, indent=2), "utf-8")
        except OSError:
            path.unlink(missing_ok=True)
        return place if (place / path.name).exists() else None

    def purge(self, before: datetime) -> int:
        """Remove folders that are older than that; return how many."""
        if not self._folder.is_dir():
            return 0
        old = [place for place in self._folder.iterdir() if _is_before(place.name, before)]
        for place in old:
            shutil.rmtree(place, ignore_errors=True)
        return len(old)


def _is_before(name: str, limit: datetime) -> bool:
    try:
        taken = datetime.strptime(name.partition("_")[0], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return False  # not one of ours
    return taken < limit
