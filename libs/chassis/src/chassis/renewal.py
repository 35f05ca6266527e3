"""Passwords and certificates that are renewed while a process runs.

The process ends as on SIGTERM, with its batch finished, and is started anew by whatever started it:
one way for every client library, most of which cannot change credentials in flight
(docs/decisions/0032).
"""

import asyncio
import functools
import hashlib
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from chassis.errors import SettingsError
from chassis.logs import get_logger
from chassis.settings import load_settings, secret_files

LOOK_EVERY_SECONDS = 10.0
SPREAD_SECONDS = 30.0
"""Replicas see a new file at about the same time and should not all leave at once."""

_State = Mapping[Path, str | None]


def watched_files(settings: BaseModel) -> set[Path]:
    """Return the files that settings name, and those of the secrets folder."""
    return {*_named_files(settings), *secret_files()}


class Renewal:
    """Notices that a watched file has changed and that the settings can be read with it."""

    def __init__(self, settings: BaseModel, *, reload: Callable[[], object] | None = None) -> None:
        self._files = watched_files(settings)
        self._reload = reload or functools.partial(load_settings, type(settings))
        self._known = self._seen = _fingerprints(self._files)

    def look(self) -> bool:
        """Return whether there is something new to be used.

        A change counts when it is seen twice, and not while it cannot be used: certificate and key
        may be replaced one after the other.
        """
        now = _fingerprints(self._files)
        is_settled, self._seen = now == self._seen, now
        if now == self._known or not is_settled:
            return False
        changed = sorted(path.name for path in self._files if now[path] != self._known[path])
        self._known = now
        try:
            self._reload()
        except SettingsError as error:
            # Told once; another change will be looked at again.
            get_logger().warning("renewed_files_cannot_be_used", files=changed, error=error)
            return False
        get_logger().info("renewed_files_found", files=changed)
        return True


async def until_renewed(settings: BaseModel) -> None:
    """Return some time after credentials were renewed."""
    renewal = await asyncio.to_thread(Renewal, settings)
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        if await asyncio.to_thread(renewal.look):
            break
    await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))  # noqa: S311 - no cryptography


def _named_files(settings: BaseModel) -> Iterator[Path]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _named_files(value)
        elif isinstance(value, Path) and value.is_file():
            yield value


def _fingerprints(files: Collection[Path]) -> _State:
    return {path: _fingerprint(path) for path in files}


def _fingerprint(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None  # being replaced
