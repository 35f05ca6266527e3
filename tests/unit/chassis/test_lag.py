"""The age of a backlog: from when messages were first seen, whatever their own time is."""

from chassis.bus.lag import LagAge


def test_nothing_waits_in_a_partition_that_is_read_to_its_end() -> None:
    assert LagAge().measure(10, 10, now=100.0) == 0.0


def test_what_waits_ages_from_the_moment_it_was_seen() -> None:
    age = LagAge()

    assert age.measure(10, 7, now=100.0) == 0.0
    assert age.measure(10, 7, now=160.0) == 60.0


def test_applying_the_oldest_leaves_the_age_of_the_next() -> None:
    age = LagAge()
    age.measure(10, 0, now=100.0)
    age.measure(20, 0, now=130.0)

    assert age.measure(20, 10, now=160.0) == 30.0
    assert age.measure(20, 20, now=170.0) == 0.0


def test_a_half_applied_sample_keeps_its_age() -> None:
    age = LagAge()
    age.measure(10, 0, now=100.0)

    assert age.measure(10, 9, now=160.0) == 60.0


def test_a_log_that_grows_for_ever_while_nothing_is_applied_keeps_the_oldest_age() -> None:
    age = LagAge()

    ages = [age.measure(end, 0, now=float(end)) for end in range(1, 1001)]

    assert ages[-1] == 999.0
    assert len(age._ends) == 240
