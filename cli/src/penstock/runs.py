"""Follow a command from its record to the end of its run, as the console tells it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chassis.errors import PermanentError, UnavailableError
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts, RunStatus
from penstock.console_api import ConsoleApi, path_part

_POLL_SECONDS = 0.2
_HINT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run at one moment."""

    run_id: str
    status: RunStatus
    counts: RunCounts
    total: int | None
    message: str | None
    seconds: float | None
    """How long it has run; None while it is queued."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a service did with a command."""

    text: str
    run: RunState | None
    """What it led to; None where there was nothing to run."""


class CommandRefusedError(PermanentError):
    """The service refused the command."""

    default_category = ErrorCategory.MESSAGE_DECODE


def follow_command(
    api: ConsoleApi,
    command_id: str,
    *,
    patience_seconds: float,
    on_change: Callable[[RunState | None], None],
) -> RunState:
    """Return the final state of the run that a command led to.

    Args:
        api: Where commands and runs are told.
        command_id: What was given.
        patience_seconds: Until we stop looking; the run goes on.
        on_change: Told every state that was seen; None after a while without any.

    Raises:
        CommandRefusedError: the service did not accept it, and why.
        UnavailableError: the console does not answer, or the run has not ended in time.
    """
    started = time.monotonic()
    while time.monotonic() - started < patience_seconds:
        outcome = read_outcome(api, command_id)
        if outcome is not None and outcome.run is None:
            raise CommandRefusedError(f"the command was not run: {outcome.text}")
        state = None if outcome is None else outcome.run
        if state is not None or time.monotonic() - started > _HINT_SECONDS:
            on_change(state)
        if state is not None and state.status.is_final:
            return state
        time.sleep(_POLL_SECONDS)
    raise UnavailableError(
        f"command {command_id} has not ended within {patience_seconds:.0f} s; "
        "what was accepted goes on, and `penstock runs` shows it when it has ended"
    )


def await_outcome(api: ConsoleApi, command_id: str, *, patience_seconds: float) -> Outcome:
    """Return what a service did with a command, as soon as it has read it.

    Raises:
        CommandRefusedError: it refused the command, and why.
        UnavailableError: the console does not answer, or no service has in time.
    """
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        outcome = read_outcome(api, command_id)
        if outcome is not None:
            return outcome
        time.sleep(_POLL_SECONDS)
    raise UnavailableError(f"no service has answered the command {command_id}; does it run?")


def read_outcome(api: ConsoleApi, command_id: str) -> Outcome | None:
    """Return what became of a command so far; None while nobody has read it.

    Raises:
        CommandRefusedError: the service did not accept it, and why.
    """
    sent = api.find(f"/commands/{path_part(command_id)}")
    if sent is None or sent["outcome"] is None:
        return None
    if sent["refusal"] is not None and sent["run"] is None:
        raise CommandRefusedError(sent["refusal"])
    return Outcome(sent["outcome"], None if sent["run"] is None else state_of(sent["run"]))


def read_errors(api: ConsoleApi, run_id: str) -> list[tuple[str, str]]:
    """Return ids and reasons of records that a run could not handle, the oldest first."""
    errors = api.get(f"/runs/{path_part(run_id)}")["errors"]
    return [(error["external_id"], error["message"]) for error in reversed(errors)]


def state_of(line: Mapping[str, Any]) -> RunState:
    """Return the state of a run as the console tells it."""
    return RunState(
        run_id=line["run_id"],
        status=RunStatus(line["status"]),
        counts=RunCounts.model_validate(line["counts"]),
        total=line["total"],
        message=line["message"],
        seconds=line["seconds"],
    )
