from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.domain.changes import Announce, Change, Decision, Known, Miss, Observe, decide
from scanner.domain.files import Fingerprint, SeenFile

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=5)
OLD = Fingerprint(1_600_000_000_000_000, 100)
NEW = Fingerprint(1_700_000_000_000_000, 120)
PATH = "Data/2024/Q1/Banks/RY-CA/RY-CA_Q1_2024_Raw_1_1.xml"


def seen(fingerprint: Fingerprint = NEW) -> SeenFile:
    return SeenFile(PATH, fingerprint)


def known(
    observed: Fingerprint = OLD,
    *,
    announced: Fingerprint | None = OLD,
    since: datetime | None = None,
    is_present: bool = True,
    is_missed: bool = False,
) -> Known:
    return Known(PATH, observed, since, announced, is_present, is_missed)


def compare(seen_file: SeenFile | None, row: Known | None) -> Decision | None:
    return decide(seen_file, row, now=NOW, settle=SETTLE)


@pytest.mark.covers("S1-17", "S1-20")
def test_an_unknown_file_is_observed_before_it_is_announced() -> None:
    assert compare(seen(), None) == Observe(seen(), settling_since=NOW)


@pytest.mark.covers("S1-20", "S1-21")
def test_a_new_file_seen_twice_far_enough_apart_is_added() -> None:
    row = known(NEW, announced=None, since=NOW - SETTLE)
    assert compare(seen(), row) == Announce(PATH, Change.ADDED, current=NEW, previous=None)


def test_a_new_file_seen_twice_too_soon_waits() -> None:
    row = known(NEW, announced=None, since=NOW - SETTLE + timedelta(microseconds=1))
    assert compare(seen(), row) is None


@pytest.mark.covers("C-03", "S1-20", "S1-21")
def test_a_modified_file_is_one_event_with_both_fingerprints() -> None:
    row = known(NEW, announced=OLD, since=NOW - SETTLE)
    assert compare(seen(), row) == Announce(PATH, Change.MODIFIED, current=NEW, previous=OLD)


@pytest.mark.covers("C-04")
def test_a_restored_file_with_an_older_time_is_a_modification() -> None:
    row = known(NEW, announced=NEW)
    assert compare(seen(OLD), row) == Observe(seen(OLD), settling_since=NOW)


@pytest.mark.covers("C-04")
def test_the_same_time_with_another_size_is_a_modification() -> None:
    grown = Fingerprint(OLD.modified_us, OLD.size_bytes + 1)
    assert compare(seen(grown), known()) == Observe(seen(grown), settling_since=NOW)


def test_a_state_that_moves_while_it_settles_starts_again() -> None:
    later = Fingerprint(NEW.modified_us + 2_000_000, NEW.size_bytes)
    row = known(NEW, announced=OLD, since=NOW - timedelta(hours=1))
    assert compare(seen(later), row) == Observe(seen(later), settling_since=NOW)


def test_a_file_that_returns_to_its_announced_state_was_never_modified() -> None:
    row = known(NEW, announced=OLD, since=NOW - timedelta(hours=1))
    assert compare(seen(OLD), row) == Observe(seen(OLD), settling_since=None)


@pytest.mark.covers("S2-14")
def test_an_unchanged_file_needs_nothing() -> None:
    assert compare(seen(OLD), known()) is None


def test_an_unchanged_file_that_was_missed_is_there_again() -> None:
    assert compare(seen(OLD), known(is_missed=True)) == Observe(seen(OLD), settling_since=None)


def test_a_settling_file_that_was_missed_keeps_its_first_sight() -> None:
    since = NOW - timedelta(seconds=1)
    row = known(NEW, announced=None, since=since, is_missed=True)
    assert compare(seen(), row) == Observe(seen(), settling_since=since)


def test_a_clock_that_was_set_back_makes_nobody_wait_for_it() -> None:
    row = known(NEW, announced=None, since=NOW + timedelta(hours=1))
    assert compare(seen(), row) == Observe(seen(), settling_since=NOW)


def test_a_file_that_comes_back_after_its_deletion_starts_anew() -> None:
    row = known(NEW, announced=NEW, is_present=False)
    assert compare(seen(), row) == Observe(seen(), settling_since=NOW)


@pytest.mark.covers("S1-20")
def test_a_file_that_its_folder_lacks_is_missed_and_not_yet_deleted() -> None:
    assert compare(None, known()) == Miss(PATH)


def test_a_file_whose_deletion_was_announced_is_not_missed_again() -> None:
    assert compare(None, known(is_present=False)) is None


fingerprints = st.builds(Fingerprint, st.integers(0, 3), st.integers(0, 2))


@given(st.lists(st.tuples(st.one_of(st.none(), fingerprints), st.integers(0, 9)), max_size=30))
def test_whatever_happens_an_announcement_follows_two_equal_looks(
    looks: list[tuple[Fingerprint | None, int]],
) -> None:
    """Replay decisions on one path, and check every announcement against the looks themselves."""
    now, row = NOW, None
    history: list[tuple[datetime, Fingerprint | None]] = []
    for fingerprint, seconds in looks:
        now += timedelta(seconds=seconds)
        history.append((now, fingerprint))
        item = SeenFile(PATH, fingerprint) if fingerprint else None
        decision = decide(item, row, now=now, settle=SETTLE)
        if isinstance(decision, Announce):
            same = []
            for at, before in reversed(history):
                if before is not None and before != decision.current:
                    break
                if before is not None:
                    same.append(at)
            assert now - same[-1] >= SETTLE
            assert decision.current != decision.previous
        row = _apply(row, decision)
    if row is not None and row.settling_since is None:
        assert row.observed == row.announced


def _apply(row: Known | None, decision: Decision | None) -> Known | None:
    match decision:
        case Observe(file, since):
            announced = row.announced if row is not None else None
            return Known(file.path, file.fingerprint, since, announced, True, False)
        case Announce(path, _, current, _):
            assert current is not None
            return Known(path, current, None, current, True, False)
        case Miss():
            assert row is not None
            return Known(row.path, row.observed, row.settling_since, row.announced, True, True)
        case _:
            return row
