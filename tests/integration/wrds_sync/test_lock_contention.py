import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.lock_contenders import (
    SPAWN,
    ShortLock,
    lay_stale_lock,
    race,
    run_together,
    take_turns,
    wait_until_stopped,
    write_when_told,
)
from wrds_sync.adapters.file_lock import AtomicFileLock
from wrds_sync.errors import LockLostError

CONTENDERS = 8
ROUNDS = 200


@pytest.mark.covers("S5-72", "S5-01", "S5-105")
def test_two_processes_take_turns(tmp_path: Path) -> None:
    reports = run_together(take_turns, tmp_path, count=2, rounds=100)
    seen = [entry for report in reports for entry in report]
    assert sorted(fencing for fencing, _ in seen) == list(range(1, 201))
    assert all(is_alone for _, is_alone in seen)


@pytest.mark.covers("S5-73", "S5-05", "S5-105")
def test_a_stale_lock_has_one_winner_among_eight_processes_two_hundred_times(
    tmp_path: Path,
) -> None:
    lay_stale_lock(tmp_path, 1)
    reports = run_together(race, tmp_path, count=CONTENDERS, rounds=ROUNDS)
    wins = sorted(entry for report in reports for entry in report)
    assert [number for number, _ in wins] == list(range(ROUNDS))
    assert [fencing for _, fencing in wins] == list(range(1, ROUNDS + 1))


@pytest.mark.covers("S5-74", "S5-106")
def test_a_writer_that_was_stopped_past_its_expiry_writes_nothing(tmp_path: Path) -> None:
    here, there = SPAWN.Pipe()
    stopped = SPAWN.Process(target=write_when_told, args=(tmp_path, there), daemon=True)
    stopped.start()
    try:
        assert here.poll(30)
        assert here.recv() == 1
        assert stopped.pid is not None
        os.kill(stopped.pid, signal.SIGSTOP)
        wait_until_stopped(stopped.pid)
        here.send("write")
        time.sleep(0.6)
        second = ShortLock(tmp_path, "crsp")
        token = second.acquire(5)
        assert token.fencing == 2
        with second.guarding(token):
            (tmp_path / "written").write_text("2", "ascii")
        os.kill(stopped.pid, signal.SIGCONT)
        assert here.poll(30)
        assert here.recv() == {"write": "lost", "refresh": "lost", "release": "lost"}
        assert (tmp_path / "written").read_text("ascii") == "2"
        second.release(token)
    finally:
        stopped.kill()
        stopped.join(5)


def test_a_killed_writers_lock_is_free_at_once(tmp_path: Path) -> None:
    here, there = SPAWN.Pipe()
    writer = SPAWN.Process(target=write_when_told, args=(tmp_path, there), daemon=True)
    writer.start()
    assert here.poll(30)
    first = here.recv()
    writer.kill()
    writer.join(5)
    lock = AtomicFileLock(tmp_path, "crsp")
    token = lock.acquire(0)
    assert (first, token.fencing) == (1, 2)


@pytest.mark.covers("S5-74")
def test_two_recoverers_of_one_expired_lock_never_both_hold_it(tmp_path: Path) -> None:
    first, second = ShortLock(tmp_path, "crsp"), ShortLock(tmp_path, "crsp")
    lay_stale_lock(tmp_path, 1)
    token = first.acquire(0)
    time.sleep(0.6)
    other = second.acquire(0)
    assert other.fencing > token.fencing
    with pytest.raises(LockLostError), first.guarding(token):
        pytest.fail("the first recoverer still believes in its lock")
