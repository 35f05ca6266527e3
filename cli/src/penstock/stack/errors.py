"""What can go wrong with the local stack, each as one sentence that says what to do.

StackError
├── MissingToolError      a program or package is not installed
├── PortTakenError        a configured port belongs to somebody else
├── DiskFullError         the state folder has no room
├── DownloadError         Maven could not fetch a server
├── PartDiedError         a server ended while it was starting, or later
├── PartTimeoutError      a server did not answer in time
├── SupervisorGoneError   the supervisor ended while a client waited for it
└── NotRunningError       a command needs a stack and there is none
"""

from penstock.errors import ToldError


class StackError(ToldError):
    """The local stack cannot do what was asked; the message says what to do."""


class MissingToolError(StackError):
    """A program the stack needs is not installed."""


class PortTakenError(StackError):
    """A configured port is in use by another program."""


class DiskFullError(StackError):
    """The folder of the stack has no room left."""


class DownloadError(StackError):
    """Maven could not fetch the jars of a server."""


class PartDiedError(StackError):
    """A server of the stack ended by itself."""


class PartTimeoutError(StackError):
    """A server of the stack did not answer in time."""


class SupervisorGoneError(StackError):
    """The supervisor of the stack ended while a client waited for it."""


class NotRunningError(StackError):
    """There is no running stack in the state folder."""
