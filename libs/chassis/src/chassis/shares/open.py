"""From a source's `share` section to a share: which backend, and why."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from chassis.errors import PenstockError
from chassis.logs import get_logger
from chassis.settings import NasSettings
from chassis.shares.local import LocalShare
from chassis.shares.logon_gate import LogonGate
from chassis.shares.paths import join, validate_nas_path
from chassis.shares.port import (
    Entry,
    FileContent,
    Share,
    ShareDescription,
    UnsupportedServerError,
)
from chassis.shares.smb_wire import ShareRefusesAccountError
from chassis.sources import ConfigError, ShareConfig

T = TypeVar("T")


def open_share(
    config: ShareConfig, nas: NasSettings | None, *, gate: LogonGate | None = None
) -> Share:
    """Return the share that a source reads; nothing is connected before the first call.

    Args:
        config: the source's `share` section.
        nas: how to reach the server; not needed for a local folder.
        gate: shared by all sources that use one account, so that a wrong password is tried once
            for all of them.

    Raises:
        ConfigError: the section contradicts itself, or settings are missing for it.
        UnsafePathError: the base path is not a path below the share.
    """
    if config.kind == "local":
        if not config.root:
            raise ConfigError("`share.root` must name the folder of a local source.")
        return LocalShare(Path(config.root), connections=config.connections)
    if nas is None:
        raise ConfigError("A source of kind `smb` needs the settings `NAS_...`.")
    return _open_smb(config, nas, gate or LogonGate())


def _open_smb(config: ShareConfig, nas: NasSettings, gate: LogonGate) -> Share:
    root = join(validate_nas_path(nas.base_path), validate_nas_path(config.root))

    # Half a second of processor time between them, that a start without such a share need not pay.
    def pysmb() -> Share:
        from chassis.shares.pysmb import PysmbShare  # noqa: PLC0415

        return PysmbShare(
            nas,
            root=root,
            connections=config.connections,
            timeout_seconds=config.timeout_seconds,
            gate=gate,
        )

    def smbprotocol() -> Share:
        from chassis.shares.smbprotocol import SmbprotocolShare  # noqa: PLC0415

        return SmbprotocolShare(
            nas,
            root=root,
            connections=config.connections,
            timeout_seconds=config.timeout_seconds,
            gate=gate,
            require_encryption=config.require_encryption,
        )

    is_protected = config.verify_signatures or config.require_encryption
    if config.backend == "pysmb":
        if is_protected:
            raise ConfigError(
                "`share.backend: pysmb` can neither verify signatures nor encrypt; take "
                "`smbprotocol` or `auto`."
            )
        return pysmb()
    if config.backend == "smbprotocol" or is_protected:
        return smbprotocol()
    return AutoShare(pysmb, smbprotocol)


class AutoShare:
    """Takes the first backend if the server lets it in, else the second.

    Asked again whenever the server, after a change of its policy, no longer takes the one chosen.
    """

    def __init__(self, preferred: Callable[[], Share], fallback: Callable[[], Share]) -> None:
        self._preferred = preferred
        self._fallback = fallback
        self._chosen: Share | None = None
        self._choosing = asyncio.Lock()

    async def list_directory(self, path: str) -> Sequence[Entry]:
        """Return every entry of a directory, without `.` and `..`; complete, or an error."""
        return await self._call(lambda share: share.list_directory(path))

    async def stat(self, path: str) -> Entry:
        """Return one entry; used to prove that a file is gone (`ShareNotFoundError`)."""
        return await self._call(lambda share: share.stat(path))

    async def read_file(self, path: str, *, max_bytes: int) -> FileContent:
        """Read a whole file; see the port for what it raises."""
        return await self._call(lambda share: share.read_file(path, max_bytes=max_bytes))

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file so that readers see the old or the new one; parents are created."""
        await self._call(lambda share: share.write_file(path, data))

    async def make_directories(self, path: str) -> None:
        """Create a directory and its parents; existing ones are fine."""
        await self._call(lambda share: share.make_directories(path))

    async def describe(self) -> ShareDescription:
        """Choose and connect if need be, and tell what was negotiated."""
        return await self._call(lambda share: share.describe())

    async def close(self) -> None:
        """Close every connection."""
        async with self._choosing:
            chosen, self._chosen = self._chosen, None
        if chosen is not None:
            await chosen.close()

    async def _call(self, operation: Callable[[Share], Awaitable[T]]) -> T:
        share = await self._share()
        try:
            return await operation(share)
        except (UnsupportedServerError, ShareRefusesAccountError):
            await self._forget(share)
        return await operation(await self._share())

    async def _share(self) -> Share:
        async with self._choosing:
            if self._chosen is None:
                self._chosen = await self._choose()
            return self._chosen

    async def _forget(self, share: Share) -> None:
        async with self._choosing:
            if self._chosen is not share:
                return
            self._chosen = None
        await share.close()

    async def _choose(self) -> Share:
        try:
            return await _connected(self._preferred(), reason="the server lets it in")
        except (UnsupportedServerError, ShareRefusesAccountError) as error:
            return await _connected(self._fallback(), reason=error.message)


async def _connected(share: Share, *, reason: str) -> Share:
    try:
        description = await share.describe()
    except (PenstockError, asyncio.CancelledError):
        await share.close()
        raise
    get_logger().info(
        "share_backend_chosen",
        backend=description.backend,
        reason=reason,
        dialect=description.dialect,
        is_signed=description.is_signed,
        is_encrypted=description.is_encrypted,
    )
    return share
