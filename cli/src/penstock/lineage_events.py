"""Runs as OpenLineage run events, specification 2-0-2.

A run reads and writes data sets that its kind and target name; the continuous flow from bronze to
silver is no run, and is told by traces and by `penstock explain`.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.envelope import Event
from contracts.runs import RunChanged, RunStatus

_PRODUCER = "urn:penstock:lineage"
_SPEC = "https://openlineage.io/spec"
_SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_MOST_OPEN_RUNS = 10_000

_FINAL = {
    RunStatus.COMPLETED: "COMPLETE",
    RunStatus.COMPLETED_WITH_ERRORS: "COMPLETE",
    RunStatus.FAILED: "FAIL",
    RunStatus.ABANDONED: "FAIL",
    RunStatus.CANCELLED: "ABORT",
}

_Places = tuple[tuple[str, str], ...]
_DATA_SETS: Mapping[str, Callable[[str], tuple[_Places, _Places]]] = {
    "scan": lambda target: ((("sources", target),), (("changes", target),)),
    "transform": lambda target: (
        (("hub", "bronze.raw_entities"),),
        (("hub", f"silver.{target}"),),
    ),
    "refresh": lambda target: ((("production", target),), (("uat", target),)),
    "wrds-sync": lambda target: ((("wrds", target),), (("mirror", target),)),
    "replay": lambda target: ((("dead-letters", target),), ()),
}
"""What a kind of run reads and writes: a namespace below ours, and a name."""


@dataclass(slots=True)
class LineageEvents:
    """Turns announcements of runs into run events; remembers which runs have begun."""

    namespace: str
    _open: dict[str, None] = field(default_factory=dict)

    def of(self, event: Event[RunChanged]) -> dict[str, Any] | None:
        """Return the run event, or None where there is nothing to tell yet."""
        run = event.data
        kind = self._kind(run)
        if kind is None:
            return None
        inputs, outputs = self._data_sets(run)
        facets: dict[str, Any] = {}
        if kind == "FAIL":
            facets["errorMessage"] = _facet("1-0-1", "ErrorMessageRunFacet") | {
                "message": run.message or run.status.value,
                "programmingLanguage": "python",
            }
        return {
            "eventType": kind,
            "eventTime": event.time.isoformat(),
            "run": {"runId": str(uuid.UUID(run.run_id)), "facets": facets},
            "job": {
                "namespace": self.namespace,
                "name": f"{run.service}.{run.kind}.{run.target}",
                "facets": {"jobType": _job_type(run)},
            },
            "inputs": inputs,
            "outputs": outputs,
            "producer": _PRODUCER,
            "schemaURL": _SCHEMA,
        }

    def _kind(self, run: RunChanged) -> str | None:
        if run.status in _FINAL:
            self._open.pop(run.run_id, None)
            return _FINAL[run.status]
        if run.status is not RunStatus.RUNNING:
            return None
        if run.run_id in self._open:
            return "RUNNING"
        while len(self._open) >= _MOST_OPEN_RUNS:  # runs whose end was never announced
            self._open.pop(next(iter(self._open)))
        self._open[run.run_id] = None
        return "START"

    def _data_sets(self, run: RunChanged) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        places = _DATA_SETS.get(run.kind)
        read, written = places(run.target) if places else ((), ())
        inputs = [self._data_set(place) for place in read]
        outputs = [self._data_set(place) for place in written]
        if run.status.is_final:
            rows = _facet("1-0-2", "OutputStatisticsOutputDatasetFacet") | {
                "rowCount": run.counts.new + run.counts.changed
            }
            outputs = [item | {"outputFacets": {"outputStatistics": rows}} for item in outputs]
        return inputs, outputs

    def _data_set(self, place: tuple[str, str]) -> dict[str, Any]:
        return {"namespace": f"{self.namespace}/{place[0]}", "name": place[1], "facets": {}}


def _job_type(run: RunChanged) -> dict[str, Any]:
    return _facet("2-0-4", "JobTypeJobFacet") | {
        "processingType": "BATCH",
        "integration": "PENSTOCK",
        "jobType": run.kind.upper(),
    }


def _facet(version: str, name: str) -> dict[str, Any]:
    url = f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}"
    return {"_producer": _PRODUCER, "_schemaURL": url}
