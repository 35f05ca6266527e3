"""The folder of one stack: who owns it, what is wanted, what is, secrets and logs."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from penstock.stack.errors import DiskFullError, StackError
from penstock.stack.model import PartName, StackState, Wanted

_Model = TypeVar("_Model", bound=BaseModel)

_FOLDER_MODE = 0o711
"""Others may pass (PostgreSQL runs as another account under root), not look."""
_LOG_KEEP_BYTES = 16 * 1024 * 1024
_FULL_BYTES = 4 * 1024 * 1024
"""With less, a server that failed most likely failed because of it."""


@dataclass(frozen=True, slots=True)
class StateDir:
    """Paths and documents below the state folder of a stack."""

    root: Path

    def create(self) -> None:
        """Make the folder, private but passable."""
        try:
            for folder in (self.root, self.root / "logs"):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(_FOLDER_MODE)
        except OSError as error:
            raise explain_os_error(error, self.root) from error

    def part_dir(self, part: PartName) -> Path:
        """Return the data folder of a part."""
        return self.root / part.value

    def log(self, name: str) -> Path:
        """Return the log file of a part, or of the supervisor itself."""
        return self.root / "logs" / f"{name}.log"

    def rotate_log(self, name: str) -> None:
        """Keep one older generation once a log has grown large."""
        log = self.log(name)
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > _LOG_KEEP_BYTES:
                log.replace(log.with_suffix(".log.1"))

    def explain_full_disk(self) -> DiskFullError | None:
        """Return the error to tell when hardly anything can be written here any more."""
        free = shutil.disk_usage(self.root).free
        return _disk_full(self.root) if free < _FULL_BYTES else None

    # --- documents ---------------------------------------------------------------------------
    def read_state(self) -> StackState | None:
        """Return what the latest supervisor reported."""
        return _read(self.root / "state.json", StackState)

    def write_state(self, state: StackState) -> None:
        """Report the state of the stack."""
        self._write("state.json", state.model_dump_json(indent=2))

    def read_wanted(self) -> Wanted | None:
        """Return what clients have asked for."""
        return _read(self.root / "wanted.json", Wanted)

    def write_wanted(self, wanted: Wanted) -> None:
        """Ask the supervisor for something; it looks when it is signalled."""
        self._write("wanted.json", wanted.model_dump_json(indent=2))

    def secret(self, name: str) -> str:
        """Return the password of that name, drawn once per state folder."""
        return self._remembered("secrets.json", name, lambda: secrets.token_urlsafe(18))

    def remembered_port(self, name: str) -> int | None:
        """Return the port a part had last time, so that exported addresses stay valid."""
        value = self._read_notes("ports.json").get(name)
        return int(value) if value else None

    def remember_port(self, name: str, port: int) -> None:
        """Keep the port of a part for next time."""
        self._write("ports.json", json.dumps(self._read_notes("ports.json") | {name: str(port)}))

    def _remembered(self, document: str, name: str, draw: Callable[[], str]) -> str:
        notes = self._read_notes(document)
        if name not in notes:
            notes[name] = draw()
            self._write(document, json.dumps(notes))
        return notes[name]

    def _read_notes(self, document: str) -> dict[str, str]:
        try:
            notes: dict[str, str] = json.loads((self.root / document).read_text())
        except FileNotFoundError:
            return {}
        return notes

    def _write(self, name: str, text: str) -> None:
        target = self.root / name
        draft = target.with_suffix(f".{os.getpid()}.draft")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            draft.replace(target)
        except OSError as error:
            raise explain_os_error(error, self.root) from error

    # --- ownership ---------------------------------------------------------------------------
    @contextlib.contextmanager
    def supervising(self) -> Generator[bool]:
        """Hold the supervisor's place; yields whether it was free."""
        with self._lock_file("supervisor.lock") as descriptor:
            # Clients that look whether there is a supervisor hold the lock for an instant.
            yield _try_lock_for(descriptor, seconds=1)

    def is_supervised(self) -> bool:
        """Whether a supervisor lives. A lock tells the truth even after a kill -9."""
        if not (self.root / "supervisor.lock").exists():
            return False
        with self._lock_file("supervisor.lock") as descriptor:
            return not _try_lock(descriptor)

    @contextlib.contextmanager
    def changing(self, *, timeout_seconds: float) -> Generator[None]:
        """Be the only client that changes this stack."""
        with self._lock_file("client.lock") as descriptor:
            if not _try_lock_for(descriptor, seconds=timeout_seconds):
                raise StackError(
                    f"Another penstock command is still working on {self.root}; "
                    "wait for it or end it."
                )
            yield

    @contextlib.contextmanager
    def _lock_file(self, name: str) -> Generator[int]:
        descriptor = os.open(self.root / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _try_lock_for(descriptor: int, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path, model: type[_Model]) -> _Model | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StackError(
            f"{path} was written by another version of penstock; "
            "run the `penstock down` of that version, then delete the folder."
        ) from error


def _disk_full(folder: Path) -> DiskFullError:
    return DiskFullError(
        f"The disk of {folder} is full; free some space, "
        "or choose another folder with PENSTOCK_STATE_DIR."
    )


def explain_os_error(error: OSError, folder: Path) -> StackError:
    """Return the sentence for a file system error below `folder`."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _disk_full(folder)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StackError(
            f"{folder} cannot be written ({error.strerror}); "
            "choose another folder with PENSTOCK_STATE_DIR."
        )
    return StackError(f"{folder}: {error.strerror or error}; choose another PENSTOCK_STATE_DIR.")
