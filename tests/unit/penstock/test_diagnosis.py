from pathlib import Path

import pytest

from penstock.stack.diagnosis import explain_exit, read_since
from penstock.stack.model import PartName

LOG = Path("/hub/logs/kafka.log")


def _explain(code: int, written: str) -> str:
    return explain_exit(PartName.KAFKA, code, written, log=LOG, address="127.0.0.1:9092")


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (
            "java.io.IOException: No space left on device\n\tat sun.nio",
            (
                "kafka ended because the disk of /hub is full; "
                "free some space and run `penstock up` again."
            ),
        ),
        (
            "Socket server failed to bind: Address already in use.",
            (
                "kafka ended because its port 127.0.0.1:9092 is taken by another program; "
                "stop that program, or choose another port with --port."
            ),
        ),
        (
            "java.lang.OutOfMemoryError: Java heap space",
            "kafka ended because there is not enough memory; end some programs and try again.",
        ),
    ],
)
def test_a_known_cause_is_told_with_its_cure(written: str, sentence: str) -> None:
    assert _explain(1, written) == sentence


def test_a_killed_server_is_told_with_its_signal() -> None:
    assert _explain(-9, "all is well\n") == (
        "kafka was killed by SIGKILL; look at /hub/logs/kafka.log "
        "and start it again with `penstock up`."
    )


def test_an_unknown_cause_is_told_with_the_last_words() -> None:
    assert _explain(3, "first\nthe last words\n\n") == (
        "kafka ended with exit code 3 (the last words); look at /hub/logs/kafka.log "
        "and start it again with `penstock up`."
    )


def test_only_what_this_run_wrote_is_read(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_bytes(b"No space left on device\nstarted\xff\n")
    assert read_since(log, 24) == "started\ufffd\n"
    assert read_since(tmp_path / "none.log", 0) == ""


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_bytes(b"x" * 100_000 + b"end")
    assert len(read_since(log, 0)) == 65_536
    assert read_since(log, 0).endswith("xend")
