"""What a client library must be able to do for us: carry requests, over a session it made.

Everything that is the same for both libraries is written on top of this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chassis.shares.port import ShareDescription, ShareUnavailableError
from chassis.shares.smb_messages import Reply, Request, opened

SUCCESS = 0
GUEST = "The server took us for a guest: it does not know the user, or the password is wrong."


class ConnectionLostError(ShareUnavailableError):
    """The connection to the share was lost."""


class ShareRefusesAccountError(ShareUnavailableError):
    """The account may not use this share, or the share demands encryption."""


class Wire(Protocol):
    """One connection, logged on and connected to one share; used by one thread at a time.

    Every call ends within the time-out that the wire was opened with, and raises
    `ConnectionLostError` or another `ShareUnavailableError`; after that the wire is of no use.
    """

    description: ShareDescription
    io_bytes: int
    """The most that one READ or WRITE may carry."""

    listing_bytes: int
    """The buffer of one QUERY_DIRECTORY; two of them must fit into one answer."""

    path_prefix: str
    """What the server wants in front of every path; empty but for DFS."""

    def chain(self, requests: Sequence[Request]) -> list[Reply]:
        """Send related requests, in one frame if possible, and return one answer to each.

        `RELATED` stands for the file that the first request opens.
        """
        ...

    def close(self) -> None:
        """Cut the connection, also while another thread waits on it.

        Never raises.
        """
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """The part of a share that a source reads, over one connection."""

    wire: Wire
    root: str
    """Empty for the share itself."""


def one_by_one(exchange: Callable[[Request], Reply], requests: Sequence[Request]) -> list[Reply]:
    """Carry out a chain in single frames, as the server would: after a failed CREATE nothing."""
    first = exchange(requests[0])
    if len(requests) == 1:
        return [first]
    if first.status != SUCCESS:
        return [first, *(Reply(first.status, b"") for _ in requests[1:])]
    file_id = opened(first).file_id
    return [first, *(exchange(request.on(file_id)) for request in requests[1:])]
