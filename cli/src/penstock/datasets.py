"""What the console tells of the mirror of WRDS, in the form of the mirror's own `status`."""

from collections.abc import Mapping
from typing import Any

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory
from penstock.console_api import ConsoleApi

_FACTS = ("dataset", "vintage", "is_complete", "synced_at", "source_modified", "progress", "lock")


class UnknownDatasetError(PermanentError):
    """There is no such data set."""

    default_category = ErrorCategory.CONTENT_VALIDATION


def read_status(api: ConsoleApi, wanted: str | None) -> dict[str, Any]:
    """Return where every data set stands, or those that a name or a vendor means.

    Raises:
        UnknownDatasetError: it means none.
    """
    lines = api.get("/datasets")
    chosen = [line for line in lines if wanted in (None, line["dataset"], line["vendor"])]
    if wanted is not None and not chosen:
        known = ", ".join(line["dataset"] for line in lines) or "none; does wrds_sync run?"
        raise UnknownDatasetError(f"there is no data set `{wanted}`; there are: {known}")
    found: dict[str, Any] = {
        "event": "result",
        "verb": "status",
        "datasets": [_dataset(line) for line in chosen],
    }
    volumes = [_disk(volume) for volume in api.get("/volumes")]
    if volumes:
        found["disk"] = max(volumes, key=lambda disk: float(disk["used_share"]))
    return found


def _dataset(line: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: line[name] for name in _FACTS}
    if line["problem"]:
        facts["error"] = line["problem"]
    if line["rows"] is not None:
        facts |= {"rows": line["rows"], "partitions": line["partition_count"]}
    return facts


def _disk(volume: Mapping[str, Any]) -> dict[str, Any]:
    total, free = volume["total_bytes"], volume["free_bytes"]
    return {"used_share": round(1 - free / total, 4) if total else 1.0, "free_bytes": free}
