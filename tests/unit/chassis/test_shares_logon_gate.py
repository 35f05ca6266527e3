import threading

import pytest

from chassis.shares.logon_gate import LogonGate
from chassis.shares.port import ShareLogonError, ShareUnavailableError
from chassis.shares.smb_wire import ShareRefusesAccountError
from tests.support.clocks import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def gate(clock: HandClock) -> LogonGate:
    return LogonGate(clock=clock)


def refused(gate: LogonGate) -> float:
    """Attempt with a wrong password; return the rest that follows."""
    error = ShareLogonError()
    with pytest.raises(ShareLogonError) as raised, gate.attempt():
        raise error
    assert raised.value is error, "the gate was closed"
    assert error.retry_after is not None
    return error.retry_after


def failed(gate: LogonGate) -> float:
    error = ShareUnavailableError()
    with pytest.raises(ShareUnavailableError) as raised, gate.attempt():
        raise error
    assert raised.value is error, "the gate was closed"
    assert error.retry_after is not None
    return error.retry_after


def test_rests_after_refusals_double_up_to_an_hour(gate: LogonGate, clock: HandClock) -> None:
    rests = []
    for _ in range(6):
        rests.append(refused(gate))
        clock.seconds += rests[-1]
    assert rests == [300, 600, 1200, 2400, 3600, 3600]


def test_nobody_passes_during_a_rest_and_is_told_how_long(
    gate: LogonGate, clock: HandClock
) -> None:
    refused(gate)
    clock.seconds += 299
    with pytest.raises(ShareLogonError) as raised, gate.attempt():
        pytest.fail("an attempt was made")
    assert raised.value.retry_after == 1
    clock.seconds += 1
    with gate.attempt():
        pass


def test_a_success_forgets_what_was(gate: LogonGate, clock: HandClock) -> None:
    refused(gate)
    clock.seconds += 300
    with gate.attempt():
        pass
    assert refused(gate) == 300


def test_rests_after_failures_are_short_and_grow(gate: LogonGate, clock: HandClock) -> None:
    rests = []
    for _ in range(10):
        rests.append(failed(gate))
        clock.seconds += rests[-1]
    assert 0.2 <= rests[0] <= 0.4
    assert 15 <= rests[-1] <= 30


def test_a_failure_is_told_as_a_failure_also_after_a_refusal(
    gate: LogonGate, clock: HandClock
) -> None:
    refused(gate)
    clock.seconds += 300
    failed(gate)
    with pytest.raises(ShareUnavailableError), gate.attempt():
        pytest.fail("an attempt was made")
    clock.seconds += 60
    assert refused(gate) == 600


def test_an_account_that_may_not_use_the_share_did_log_on(gate: LogonGate) -> None:
    with pytest.raises(ShareRefusesAccountError), gate.attempt():
        raise ShareRefusesAccountError
    with gate.attempt():
        pass


def test_attempts_are_made_one_after_the_other(gate: LogonGate) -> None:
    inside: list[int] = []
    most: list[int] = []

    def attempt() -> None:
        with gate.attempt():
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20
