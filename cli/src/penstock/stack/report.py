"""The supervisor's account of its stack, kept up to date in the state folder."""

import os
from dataclasses import dataclass, field

from penstock.stack.errors import StackError
from penstock.stack.model import PartName, PartState, PartStatus, ProcessIdentity, StackState
from penstock.stack.processes import identify
from penstock.stack.statedir import StateDir


def _own_identity() -> ProcessIdentity:
    identity = identify(os.getpid())
    assert identity is not None  # noqa: S101 - we exist
    return identity


@dataclass(slots=True)
class Report:
    """What is true of every part.

    Telling others must never stop the supervisor: on a full disk the account is kept in memory, and
    `flush` tells it as soon as there is room again.
    """

    directory: StateDir
    state: StackState = field(default_factory=lambda: StackState(supervisor=_own_identity()))
    _is_told: bool = False

    def set(self, part: PartName, state: PartState) -> None:
        """Report a part."""
        self._change(parts=self.state.parts | {part: state})

    def fail(self, part: PartName, message: str) -> None:
        """Report that a part could not be started."""
        reason = self._or_full_disk(message)
        self.set(part, PartState(status=PartStatus.FAILED, message=reason))

    def bury(self, part: PartName, address: str, message: str) -> None:
        """Report that a part ended by itself."""
        reason = self._or_full_disk(message)
        self.set(part, PartState(status=PartStatus.DEAD, address=address, message=reason))

    def finish(self, generation: int) -> None:
        """Report that a generation of wishes was carried out."""
        self._change(generation=generation)

    def flush(self) -> None:
        """Tell what could not be told before."""
        if not self._is_told:
            try:
                self.directory.write_state(self.state)
            except StackError:
                return
            self._is_told = True

    def _change(self, **changes: object) -> None:
        self.state = self.state.model_copy(update=changes)
        self._is_told = False
        self.flush()

    def _or_full_disk(self, message: str) -> str:
        """Return the message, unless a full disk explains better what happened."""
        full = self.directory.explain_full_disk()
        return message if full is None else str(full)
