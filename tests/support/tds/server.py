"""The scripted SQL Server as tests hold it."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, Self

from tests.support.paths import PROJECT
from tests.support.tds.script import Script, to_json

_START_SECONDS = 20.0


class ScriptedServer:
    """A process that speaks TDS; use it as a context manager."""

    def __init__(self, script: Script | None = None) -> None:
        self._first = script or Script()
        self._seen: list[dict[str, Any]] = []
        self._started: queue.Queue[int] = queue.Queue()
        self._marks: queue.Queue[None] = queue.Queue()
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.tds"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._pipe_in.write(json.dumps(to_json(self._first)) + "\n")
        self._pipe_in.flush()
        self.port = self._started.get(timeout=_START_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._pipe_in.close()
        self._process.kill()
        self._process.wait()
        self._listener.join()
        self._pipe_out.close()

    @property
    def _pipe_in(self) -> Any:
        return self._process.stdin

    @property
    def _pipe_out(self) -> Any:
        return self._process.stdout

    def follow(self, script: Script) -> None:
        """Answer by another script from now on; events seen so far are forgotten."""
        self._catch_up()
        self._seen.clear()
        self._pipe_in.write(json.dumps(to_json(script)) + "\n")
        self._catch_up()

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """Return what happened so far, of these kinds or of all."""
        self._catch_up()
        return [event for event in list(self._seen) if not kinds or event["event"] in kinds]

    def statements(self) -> list[str]:
        """Return the text of every statement that came, less the proofs of life."""
        sent = [" ".join(event["sql"].split()) for event in self.events("batch", "call")]
        return [statement for statement in sent if statement != "select @@spid"]

    def _catch_up(self) -> None:
        """Wait until the server has read what it was sent, and we what it said before that."""
        self._pipe_in.write("mark\n")
        self._pipe_in.flush()
        self._marks.get(timeout=_START_SECONDS)

    def _listen(self) -> None:
        for line in self._pipe_out:
            event = json.loads(line)
            if event["event"] == "mark":
                self._marks.put(None)
                continue
            if event["event"] == "listening":
                self._started.put(event["port"])
            self._seen.append(event)
