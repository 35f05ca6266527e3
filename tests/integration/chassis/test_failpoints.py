"""Failpoints kill a process where a test wants it, and nowhere else."""

import os
import signal
import subprocess
import sys

import pytest

PASSAGES = """
import asyncio
from chassis.failpoints import reach

async def main():
    for number in range(1, 5):
        await reach("here")
        await reach("elsewhere")
        print(number, flush=True)

asyncio.run(main())
"""


def passages(**environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PASSAGES],
        env={"PATH": os.defpath} | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("failpoint", "code", "passed"),
    [
        ("", 0, "1234"),
        ("nowhere", 0, "1234"),
        ("here", -signal.SIGKILL, ""),
        ("here:3", -signal.SIGKILL, "12"),
        ("elsewhere:2", -signal.SIGKILL, "1"),
        ("here:5", 0, "1234"),
    ],
)
def test_the_process_dies_at_the_passage_that_was_asked_for(
    failpoint: str, code: int, passed: str
) -> None:
    assert passages(PENSTOCK_FAILPOINT=failpoint) == (code, passed)


def test_without_the_variable_nothing_happens() -> None:
    assert passages() == (0, "1234")
