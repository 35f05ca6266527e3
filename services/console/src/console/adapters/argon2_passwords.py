"""Argon2id: each guess costs an attacker 64 MiB and tens of milliseconds, and us as well.

So only a few are computed at a time, in threads of their own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_AT_A_TIME = 2
T = TypeVar("T")


class Argon2Passwords:
    """Hashes and compares."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()  # the library's defaults are those of RFC 9106
        self._executor = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="argon2")
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Return what is kept."""
        return await self._run(lambda: self._hasher.hash(password))

    async def is_right(self, password: str, kept: str | None) -> bool:
        """Compare; an unknown name takes as long as a wrong password."""
        if self._decoy is None:
            self._decoy = await self.hash("nobody has this password")
        decoy = self._decoy
        is_right = await self._run(lambda: self._verify(password, kept or decoy))
        return is_right and kept is not None

    def close(self) -> None:
        """End the threads."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, kept: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
