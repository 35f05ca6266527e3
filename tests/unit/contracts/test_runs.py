"""The life of a run."""

import pytest
from pydantic import ValidationError

from contracts.runs import RunCounts, RunStatus


def test_only_queued_and_running_runs_go_on() -> None:
    assert {status.value for status in RunStatus if not status.is_final} == {"queued", "running"}


@pytest.mark.parametrize("name", sorted(RunCounts.model_fields))
def test_a_count_is_never_negative(name: str) -> None:
    assert RunCounts.model_validate({name: 3}).model_dump()[name] == 3
    with pytest.raises(ValidationError, match=name):
        RunCounts.model_validate({name: -1})


def test_the_columns_of_the_ledger_are_all_counted() -> None:
    assert list(RunCounts().model_dump()) == [
        "processed",
        "new",
        "changed",
        "unchanged",
        "deleted",
        "failed",
        "quarantined",
    ]
