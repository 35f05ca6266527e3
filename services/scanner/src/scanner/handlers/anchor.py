"""Asks the share for what must be there whenever the right volume is mounted."""

from collections.abc import Sequence

from chassis.errors import PermanentError
from chassis.shares.port import Share


class Anchor:
    """The sentinel and the expected folders of one source."""

    def __init__(self, share: Share, *, sentinel: str | None, folders: Sequence[str]) -> None:
        self._share = share
        self._sentinel = sentinel
        self._folders = folders

    async def problem(self) -> str | None:
        """Return what is not there; None if everything is.

        Raises:
            TransientError: the share does not answer.
        """
        if self._sentinel is not None and not await self._exists(self._sentinel, folder=False):
            return f"the sentinel {self._sentinel!r} is not there"
        for folder in self._folders:
            if not await self._exists(folder, folder=True):
                return f"the expected folder {folder!r} is not there"
        return None

    async def _exists(self, path: str, *, folder: bool) -> bool:
        try:
            entry = await self._share.stat(path)
        except PermanentError:
            return False
        return entry.is_directory or not folder
