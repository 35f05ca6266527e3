"""Choose TCP ports on the loopback interface."""

import errno
import random
import socket

from penstock.stack.errors import PortTakenError, StackError
from penstock.stack.statedir import StateDir

LOOPBACK = "127.0.0.1"

_RANGE = range(20_000, 32_000)
"""Below the usual ephemeral range, so that an outgoing connection cannot take the port first."""


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        # Servers set this too; without it, connections in TIME_WAIT would look like a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def free_port() -> int:
    """Return a random free port."""
    for candidate in random.sample(_RANGE, 200):
        if is_free(candidate):
            return candidate
    raise StackError("No free TCP port was found between 20000 and 32000; end some programs.")


def choose_port(state: StateDir, name: str, insisted: int | None) -> int:
    """Return the port for `name`: the one insisted on, else last time's if free, else a new one."""
    if insisted is not None:
        if not is_free(insisted):
            raise PortTakenError(
                f"Port {insisted} for {name} is taken by another program; "
                f"stop that program, or choose another with --port {name}=NUMBER."
            )
        state.remember_port(name, insisted)
        return insisted
    remembered = state.remembered_port(name)
    if remembered is not None and is_free(remembered):
        return remembered
    port = free_port()
    state.remember_port(name, port)
    return port
