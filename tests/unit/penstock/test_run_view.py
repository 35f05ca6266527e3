import io

from rich.console import Console

from contracts.runs import RunCounts, RunStatus
from penstock.commands.run_view import RunProgress, describe, tell_end
from penstock.runs import RunState


def state(status: RunStatus, **changes: object) -> RunState:
    facts: dict[str, object] = {
        "run_id": "r1",
        "counts": RunCounts(),
        "total": None,
        "message": None,
        "seconds": None,
    }
    return RunState(status=status, **(facts | changes))  # type: ignore[arg-type]


def test_a_command_nobody_took_asks_for_the_service_whose_work_it_is() -> None:
    out = io.StringIO()
    with RunProgress(Console(file=out), "refresh of all", "refresher") as progress:
        progress.show(None)
    assert out.getvalue() == (
        "refresh of all: sent, and no service has taken it yet; does the refresher run?\n"
    )


def test_a_queued_run_has_no_counts() -> None:
    assert describe(state(RunStatus.QUEUED)) == "queued"


def test_a_run_tells_what_is_not_zero() -> None:
    counts = RunCounts(processed=10, new=2, quarantined=3)
    assert describe(state(RunStatus.RUNNING, counts=counts, total=20)) == (
        "running, 10 of 20 looked at, 2 new, 3 held back"
    )


def test_the_end_tells_why_a_run_failed_and_how_long_it_took() -> None:
    out = io.StringIO()
    failed = state(RunStatus.FAILED, message="the share is away", seconds=2.04)
    tell_end(Console(file=out), "Scan", failed)
    assert out.getvalue() == ("✗ Scan failed, 0 looked at, the share is away in 2.0 s (run r1).\n")


def test_outside_a_terminal_each_state_is_told_once() -> None:
    out = io.StringIO()
    with RunProgress(Console(file=out), "scan", "scanner") as progress:
        for _ in range(3):
            progress.show(state(RunStatus.QUEUED))
        progress.show(state(RunStatus.RUNNING))
    assert out.getvalue() == "scan: queued\nscan: running, 0 looked at\n"
