"""What is done again and again: failures that were expected, and others."""

import asyncio

import pytest
from structlog.testing import capture_logs

from chassis.errors import TransientError
from chassis.periodic import repeat


class Steps:
    """Ends as it is told, one step after the other; then it waits for ever."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.all_done = asyncio.Event()

    async def __call__(self) -> None:
        if not self.ends:
            self.all_done.set()
            await asyncio.Event().wait()
        if (error := self.ends.pop(0)) is not None:
            raise error


async def test_an_expected_failure_is_told_and_the_next_step_follows() -> None:
    steps = Steps(None, TransientError("the database is away"), None)
    with capture_logs() as lines:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            task = group.create_task(repeat(steps, every_seconds=0, event="tables_not_measured"))
            await steps.all_done.wait()
            task.cancel()
    assert [(line["event"], str(line["error"])) for line in lines] == [
        ("tables_not_measured", "the database is away")
    ]


async def test_a_failure_that_nobody_expected_is_raised() -> None:
    with pytest.raises(ValueError, match="a bug"):
        await repeat(Steps(ValueError("a bug")), every_seconds=0, event="tables_not_measured")


async def test_a_caller_can_expect_other_failures() -> None:
    steps = Steps(KeyError("first"), TransientError("second"))
    with pytest.raises(TransientError, match="second"):
        await repeat(steps, every_seconds=0, event="tables_not_measured", expected=KeyError)
