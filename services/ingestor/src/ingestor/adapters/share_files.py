"""The files of all configured sources, through the chassis's shares."""

import asyncio
from collections.abc import Mapping

from chassis.settings import NasSettings
from chassis.shares.logon_gate import LogonGate
from chassis.shares.open import open_share
from chassis.shares.port import (
    FileContent,
    Share,
    ShareNotFoundError,
    ShareUnavailableError,
)
from chassis.sources import SourcesConfig


class ShareFiles:
    """One share per source; nothing is connected before the first file is read."""

    def __init__(self, shares: Mapping[str, Share]) -> None:
        self._shares = shares

    @classmethod
    def open(cls, sources: SourcesConfig, nas: NasSettings | None) -> "ShareFiles":
        """Prepare the shares of all file sources; one account logs on through one gate.

        Raises:
            ConfigError: a section contradicts itself, or settings are missing for it.
        """
        gate = LogonGate()
        return cls(
            {
                source.name: open_share(source.share, nas, gate=gate)
                for source in sources.sources
                if source.share is not None and source.ingest
            }
        )

    async def read(self, source: str, path: str, *, max_bytes: int) -> FileContent:
        """Read one file.

        Raises what the share raises; but a file is missing only where its source is there.
        """
        share = self._shares[source]
        try:
            return await share.read_file(path, max_bytes=max_bytes)
        except ShareNotFoundError:
            await _check_root(share, source)
            raise

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(share.close() for share in self._shares.values()))


async def _check_root(share: Share, source: str) -> None:
    try:
        await share.stat("")
    except ShareNotFoundError as error:
        raise ShareUnavailableError(f"the root of source {source!r} is gone") from error
