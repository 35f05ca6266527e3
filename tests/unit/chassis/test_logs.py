"""Log lines: structured, redacted, bounded, copied by category, and never a reason to fail."""

import json
import logging
import traceback
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from chassis import redaction
from chassis.errors import PermanentError, UnavailableError
from chassis.logs import MARKERS, configure_logging, get_logger, register_secrets
from contracts.errors import ErrorCategory

CANARY = "hunter2-canary"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    secrets = list(redaction._known_secrets)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configuration = structlog.get_config()
    yield
    redaction._known_secrets[:] = secrets
    # The test run's own renderer: the default one takes seconds for a long traceback.
    structlog.configure(**configuration)
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@dataclass(frozen=True)
class Login:
    user: str
    password: str


class Colour(Enum):
    RED = "red"


class Model(BaseModel):
    password: SecretStr
    count: int


Out = pytest.CaptureFixture[str]


def lines(out: Out) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.readouterr().out.splitlines()]


def line(out: Out) -> dict[str, Any]:
    (only,) = lines(out)
    return only


def test_a_line_has_a_constant_event_the_service_the_time_and_the_facts(capsys: Out) -> None:
    configure_logging("scanner")

    get_logger().info("file_announced", path="a/ä.xml", size_bytes=3)

    written = line(capsys)
    moment = datetime.fromisoformat(written.pop("timestamp"))
    assert moment.utcoffset() is not None
    assert written == {
        "event": "file_announced",
        "service": "scanner",
        "level": "info",
        "path": "a/ä.xml",
        "size_bytes": 3,
    }


def test_lines_below_the_level_are_not_written(capsys: Out) -> None:
    configure_logging("scanner", level="WARNING")

    get_logger().info("ordinary")
    get_logger().warning("worth_a_look")

    assert [item["event"] for item in lines(capsys)] == ["worth_a_look"]


@pytest.mark.covers("S1-30")
def test_an_expected_error_tells_its_category_message_and_facts(capsys: Out) -> None:
    configure_logging("scanner")
    error = PermanentError("cannot list", category=ErrorCategory.NAS_LIST_FILES, path="a/b")

    get_logger().error("listing_failed", error=error)

    written = line(capsys)
    assert (written["category"], written["error"]) == ("nas_list_files", "cannot list")
    assert (written["error_class"], written["error_path"]) == ("PermanentError", "a/b")


def test_a_fact_cannot_hide_the_class_of_the_error(capsys: Out) -> None:
    configure_logging("scanner")

    facts: dict[str, Any] = {"class": "mine"}
    get_logger().error("x", error=UnavailableError(**facts))

    assert line(capsys)["error_class"] == "UnavailableError"


@pytest.mark.covers("S2-29")
def test_a_bug_is_logged_with_its_traceback(capsys: Out) -> None:
    configure_logging("scanner")

    nothing: dict[str, int] = {}
    try:
        _ = nothing["missing"]
    except KeyError as error:
        get_logger().exception("run_crashed", error=error)

    written = line(capsys)
    assert written["error_class"] == "KeyError"
    assert "Traceback (most recent call last)" in written["exception"]
    assert "test_a_bug_is_logged_with_its_traceback" in written["exception"]


# --- secrets


def fail_with_secrets() -> None:
    class Strict(BaseModel):
        limit: int

    try:
        Strict.model_validate({"limit": CANARY})
    except ValidationError as error:
        raise ConnectionError(f"http://user:{CANARY}@host/?token={CANARY}") from error


@pytest.mark.covers("S1-28")
@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_reaches_a_line_whatever_carries_it(
    capsys: Out, tmp_path: Path, form: str
) -> None:
    configure_logging("scanner", form=form, directory=tmp_path)
    register_secrets([CANARY])
    log = get_logger()

    log.info("a", text=f"logon with {CANARY}", url=f"smb://u:{CANARY}@h/s")
    log.info("b", nested={"deep": [{"deeper": (f"x{CANARY}", {CANARY: CANARY})}]})
    log.info("c", login=Login("u", CANARY), model=Model(password=SecretStr(CANARY), count=1))
    log.info("d", raw=CANARY.encode(), names={CANARY}, path=Path(CANARY), exc=OSError(CANARY))
    log.info("e %s", CANARY)
    log.error("f", error=PermanentError(f"no {CANARY}", where=CANARY))
    with pytest.raises(ConnectionError) as failure:
        fail_with_secrets()
    assert CANARY in "".join(traceback.format_exception(failure.value)), "the control"
    log.error("g", error=failure.value, exc_info=failure.value)

    written = capsys.readouterr()
    copies = [file.read_text("utf-8") for file in tmp_path.rglob("*.log")]
    assert "connectionerror" in written.out.lower()
    for text in (written.out, written.err, *copies):
        assert CANARY not in text
        assert "hunter2" not in text


@pytest.mark.covers("S1-28")
def test_a_secret_that_nobody_registered_is_hidden_by_the_name_of_its_field(capsys: Out) -> None:
    configure_logging("scanner")

    get_logger().info(
        "x",
        nas_password="one",
        credentials={"user": "u", "pass": "two"},
        api_keys=["three"],
        request={"headers": {"Authorization": "four", "Cookie": b"five"}},
        server_ip="10.1.2.3",
        login=Login("u", "six"),
    )

    written = line(capsys)
    assert written["nas_password"] == "***"
    assert written["credentials"] == "***"
    assert written["api_keys"] == "***"
    assert written["request"] == {"headers": {"Authorization": "***", "Cookie": "***"}}
    assert written["server_ip"] == "***"
    assert written["login"] == {"user": "u", "password": "***"}


def test_numbers_are_no_secrets_whatever_their_name(capsys: Out) -> None:
    configure_logging("scanner")

    get_logger().info("x", token=7, tokens_used=1.5, has_password=True, secret=None)

    written = line(capsys)
    assert (written["token"], written["tokens_used"]) == (7, 1.5)
    assert (written["has_password"], written["secret"]) == (True, None)


@pytest.mark.covers("S1-28")
def test_what_libraries_log_passes_through_the_same_redaction(capsys: Out) -> None:
    configure_logging("scanner")
    register_secrets([CANARY])
    library = logging.getLogger("driver.conn")

    library.info("not interesting")
    library.warning("connect to %s failed", f"sasl://u:{CANARY}@broker")
    try:
        fail_with_secrets()
    except ConnectionError:
        library.exception("lost")

    first, second = lines(capsys)
    assert (first["event"], first["library"]) == ("library_message", "driver.conn")
    assert (first["text"], first["level"]) == ("connect to sasl://***@broker failed", "warning")
    assert (second["text"], second["level"]) == ("lost", "error")
    assert "ConnectionError" in second["exception"]
    assert CANARY not in json.dumps([first, second])


# --- a log call never fails


def test_whatever_a_field_holds_becomes_a_line(capsys: Out) -> None:
    configure_logging("scanner")
    circle: list[Any] = []
    circle.append(circle)

    get_logger().info(
        "x",
        half="a\ud83db",
        keys={1: "a", None: "b", (1, 2): "c"},
        huge=10**5000,
        nan=float("nan"),
        circle=circle,
        id=uuid.UUID(int=1),
        at=datetime(2026, 1, 2, tzinfo=UTC),
        colour=Colour.RED,
        kind=Login,
        nul="a\x00b",
    )

    written = line(capsys)
    assert written["half"] == "a\\ud83db"
    assert written["keys"] == {"1": "a", "None": "b", "(1, 2)": "c"}
    assert written["huge"] == "a number of 16610 bits"
    assert written["nan"] == "nan"
    assert written["id"] == "00000000-0000-0000-0000-000000000001"
    assert written["at"] == "2026-01-02T00:00:00+00:00"
    assert written["colour"] == "Colour.RED"
    assert written["nul"] == "a\x00b"


def test_a_line_is_bounded(capsys: Out) -> None:
    configure_logging("scanner")

    get_logger().info("x", body="x" * 1_000_000)

    assert len(line(capsys)["body"]) < 17_000


def test_a_library_message_whose_arguments_do_not_fit_is_written_anyway(capsys: Out) -> None:
    configure_logging("scanner")

    logging.getLogger("careless").warning("%d files", "many")

    assert line(capsys)["text"] == "%d files"


def test_a_level_that_a_library_invented_is_rounded_down(capsys: Out) -> None:
    configure_logging("scanner")

    logging.getLogger("inventive").log(35, "loud")
    logging.getLogger("inventive").log(70, "louder")

    assert [item["level"] for item in lines(capsys)] == ["warning", "critical"]


def test_a_warning_of_python_is_a_log_line(capsys: Out) -> None:
    configure_logging("scanner")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old call", DeprecationWarning, stacklevel=1)

    assert "old call" in line(capsys)["text"]


# --- forms and files


@pytest.mark.covers("S2-31", "E-07")
@pytest.mark.parametrize(("outcome", "marker"), MARKERS.items())
def test_a_marker_stands_on_the_console_only(
    capsys: Out, tmp_path: Path, outcome: str, marker: str
) -> None:
    configure_logging("scanner", form="console", directory=tmp_path)

    get_logger().info("file_announced", outcome=outcome)

    console = capsys.readouterr().out
    (copy,) = tmp_path.glob("*.log")
    assert f"{marker} file_announced" in console
    assert marker not in copy.read_text("utf-8")
    assert json.loads(copy.read_text("utf-8"))["outcome"] == outcome


@pytest.mark.covers("S2-31", "E-07")
def test_the_json_form_has_no_marker(capsys: Out) -> None:
    configure_logging("scanner", form="json")

    get_logger().info("file_announced", outcome="success")

    written = line(capsys)
    assert (written["event"], written["outcome"]) == ("file_announced", "success")


def test_the_console_shows_a_traceback_without_complaint(capsys: Out) -> None:
    configure_logging("scanner", form="console")

    nothing: dict[str, int] = {}
    try:
        _ = nothing["missing"]
    except KeyError as error:
        get_logger().exception("run_crashed", error=error)

    assert "Traceback (most recent call last)" in capsys.readouterr().out


@pytest.mark.covers("S1-30", "S1-33")
def test_every_line_is_in_the_execution_log_and_errors_are_apart_by_category(
    capsys: Out, tmp_path: Path
) -> None:
    configure_logging("scanner", directory=tmp_path)
    log = get_logger()

    log.info("started")
    log.error("a", error=PermanentError(category=ErrorCategory.NAS_DOWNLOAD))
    log.error("b", error=PermanentError(category=ErrorCategory.NAS_DOWNLOAD))
    log.warning("c", error=PermanentError(category=ErrorCategory.NAS_UPLOAD))
    log.critical("d", error=ValueError("a bug"))
    log.error("e", category="../../escape")

    written = {
        str(file.relative_to(tmp_path)): [
            json.loads(text)["event"] for text in file.read_text("utf-8").splitlines()
        ]
        for file in tmp_path.rglob("*.log")
    }
    assert written == {
        "scanner_execution.log": ["started", "a", "b", "c", "d", "e"],
        "Errors/scanner_nas_download.log": ["a", "b"],
        "Errors/scanner_main_execution.log": ["d", "e"],
    }
    assert len(lines(capsys)) == 6


def test_a_second_process_appends_to_the_log(tmp_path: Path) -> None:
    for event in ("first", "second"):
        configure_logging("scanner", directory=tmp_path)
        get_logger().info(event)

    assert len((tmp_path / "scanner_execution.log").read_text("utf-8").splitlines()) == 2


def test_a_full_disk_under_the_copies_does_not_stop_the_work(capsys: Out, tmp_path: Path) -> None:
    configure_logging("scanner", directory=tmp_path)
    # Every write to it fails with ENOSPC.
    (tmp_path / "scanner_execution.log").symlink_to("/dev/full")

    get_logger().info("still_working")

    written = line(capsys)
    assert written["event"] == "still_working"
    assert written["log_copy_failed"] == "No space left on device"
