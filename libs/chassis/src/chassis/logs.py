"""Structured logs: one JSON object a line, a constant event name, facts as fields, secrets taken
out.

The console form is for people: terse, with an outcome marker. With a log directory, the execution
log and one error log per category are written as well, so that they can be copied where operators
look for them. A log call never fails: it stands in the middle of somebody's work.
"""

import dataclasses
import io
import logging
import math
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from chassis.errors import PenstockError
from chassis.redaction import REDACTED, redact, register_secrets, sanitize_url_for_logging
from contracts.errors import ErrorCategory

__all__ = [
    "configure_logging",
    "get_logger",
    "redact",
    "register_secrets",
    "sanitize_url_for_logging",
]

_SECRET_KEY = re.compile(
    r"(password|passwd|pwd|secret|token|api_?key|authorization|credential|cookie|server_ip)",
    re.IGNORECASE,
)

MARKERS = {
    "new": "🆕",
    "changed": "📝",
    "skipped": "⏭️",
    "success": "✅",
    "failure": "❌",
    "warning": "⚠️",
    "summary": "📊",
}
"""Field `outcome` → marker; drawn by the console renderer only."""

_MAX_DEPTH = 8
_LARGEST = 2**63 - 1
_CATEGORIES = frozenset(category.value for category in ErrorCategory)


def _clean(value: Any, depth: int = 0) -> Any:
    """Return `value` in a form that JSON has, bounded and redacted."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= _LARGEST else f"a number of {value.bit_length()} bits"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {
            field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)
        }
    if depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            return {_text(key): _clean_item(str(key), item, depth) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_clean(item, depth + 1) for item in value]
    return _text(value)


def _clean_item(key: str, value: Any, depth: int) -> Any:
    # Numbers stay: counts of tokens and fencing tokens are no secrets.
    if _SECRET_KEY.search(key) and not isinstance(value, bool | int | float | None):
        return REDACTED
    return _clean(value, depth + 1)


def _text(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    # Names of files may hold halves of characters, which no encoder takes.
    return redact(text).encode("utf-8", "backslashreplace").decode()


def _clean_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _clean_item(key, value, 0) for key, value in event.items()}


def _add_error_facts(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    error = event.pop("error", None)
    if isinstance(error, PenstockError):
        event.update({f"error_{key}": value for key, value in error.facts.items()})
        event.update(
            error_class=type(error).__name__, error=error.message, category=error.category.value
        )
    elif isinstance(error, BaseException):
        event.update(error_class=type(error).__name__, error=str(error))
    elif error is not None:
        event["error"] = error
    return event


def _add_marker(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    marker = MARKERS.get(str(event.get("outcome", "")))
    if marker:
        event["event"] = f"{marker} {event['event']}"
    return event


def _to_json(event: Any, **_: Any) -> str:
    text: bytes = orjson.dumps(event)
    return text.decode()


class _Service:
    """Names the service in every line, of whatever task or thread."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.setdefault("service", self._service)
        return event


class _FileCopies:
    """Writes every line to the execution log, and errors to one file per category."""

    def __init__(self, directory: Path, service: str) -> None:
        self._directory = directory
        self._service = service
        (directory / "Errors").mkdir(parents=True, exist_ok=True)

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        line = _to_json(event)
        try:
            self._append(self._directory / f"{self._service}_execution.log", line)
            if event.get("level") in ("error", "critical"):
                name = f"{self._service}_{self._category(event)}.log"
                self._append(self._directory / "Errors" / name, line)
        except OSError as error:
            # A full disk must not stop the work; the line still goes to stdout, and says so.
            event["log_copy_failed"] = error.strerror
        return event

    @staticmethod
    def _category(event: EventDict) -> str:
        category = event.get("category")
        return category if category in _CATEGORIES else ErrorCategory.MAIN_EXECUTION.value

    @staticmethod
    def _append(path: Path, line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def configure_logging(
    service: str, *, level: str = "INFO", form: str = "json", directory: Path | None = None
) -> None:
    """Set up logging for this process; called once, in `__main__`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without UTF-8 shows a marker as an escape instead of failing the call.
        sys.stdout.reconfigure(errors="backslashreplace")
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _Service(service),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_error_facts,
        structlog.processors.format_exc_info,
        _clean_event,
    ]
    if directory is not None:
        processors.append(_FileCopies(directory, service))
    if form == "json":
        processors.append(structlog.processors.JSONRenderer(serializer=_to_json))
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(),
            # The traceback is text already, with the secrets taken out.
            exception_formatter=structlog.dev.plain_traceback,
        )
        processors.extend((_add_marker, console))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=False,
    )
    # Client libraries log through the standard library: warnings and worse, same redaction.
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)
    logging.captureWarnings(capture=True)


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # the library's arguments do not fit its own format
            text = str(record.msg)
        # Libraries invent levels; structlog knows the five.
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        get_logger().log(
            level, "library_message", library=record.name, text=text, exc_info=exc_info
        )


def get_logger() -> FilteringBoundLogger:
    """Return the process's logger; the first argument of its methods is a constant event name."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger
