"""Structured logs: one JSON object a line, a constant event name, facts as fields, secrets taken
out.

The console form is for people: terse, with an outcome marker. With a log directory, the execution
log and one error log per category are written as well, so that they can be copied where operators
look for them.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from chassis.errors import PenstockError

_SECRET_KEY = re.compile(
    r"(password|passwd|secret|token|api_?key|authorization|credential|server_ip)", re.IGNORECASE
)
_URL_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]*://)(?P<user>[^/\s@]+)@")
_URL_SECRET_PARAMETER = re.compile(
    r"(?P<name>[?&](?:[\w-]*(?:token|key|secret|password|signature|sig)[\w-]*)=)[^&\s\"']+",
    re.IGNORECASE,
)
REDACTED = "***"

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

_SHORTEST_SECRET = 6  # shorter values would blank out ordinary words
_known_secrets: set[str] = set()


def register_secrets(values: Iterable[str]) -> None:
    """Have these values removed wherever they turn up in a log line."""
    _known_secrets.update(value for value in values if len(value) >= _SHORTEST_SECRET)


def redact(text: str) -> str:
    """Remove credentials in URLs, secret query parameters and registered secrets from a text."""
    text = _URL_USERINFO.sub(rf"\g<scheme>{REDACTED}@", text)
    text = _URL_SECRET_PARAMETER.sub(rf"\g<name>{REDACTED}", text)
    for secret in _known_secrets:
        text = text.replace(secret, REDACTED)
    return text


def sanitize_url_for_logging(url: str) -> str:
    """Return `url` without credentials and tokens (S1-27)."""
    return redact(url)


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redact_item(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redact_value(item) for item in value]
    return value


def _redact_item(key: str, value: Any) -> Any:
    return REDACTED if _SECRET_KEY.search(key) and isinstance(value, str) else _redact_value(value)


def _redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _redact_item(key, value) for key, value in event.items()}


def _add_error_facts(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    error = event.pop("error", None)
    if isinstance(error, PenstockError):
        event.update(
            error_class=type(error).__name__, error=error.message, category=error.category.value
        )
        event.update({f"error_{key}": value for key, value in error.facts.items()})
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
    text: bytes = orjson.dumps(event, default=str)
    return text.decode()


class _FileCopies:
    """Writes every line to the execution log, and errors to one file per category."""

    def __init__(self, directory: Path, service: str) -> None:
        self._directory = directory
        self._service = service
        (directory / "Errors").mkdir(parents=True, exist_ok=True)

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        line = json.dumps(event, default=str, ensure_ascii=False)
        self._append(self._directory / f"{self._service}_execution.log", line)
        if event.get("level") in ("error", "critical"):
            category = event.get("category", "main_execution")
            self._append(self._directory / "Errors" / f"{self._service}_{category}.log", line)
        return event

    @staticmethod
    def _append(path: Path, line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def configure_logging(
    service: str, *, level: str = "INFO", form: str = "json", directory: Path | None = None
) -> None:
    """Set up logging for this process; called once, in `__main__`."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_error_facts,
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    if directory is not None:
        processors.append(_FileCopies(directory, service))
    if form == "json":
        processors.append(structlog.processors.JSONRenderer(serializer=_to_json))
    else:
        processors.extend((_add_marker, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # Client libraries log through the standard library: warnings and worse, same redaction.
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger()
        log.log(record.levelno, "library_message", library=record.name, text=record.getMessage())


def get_logger() -> FilteringBoundLogger:
    """Return the process's logger; the first argument of its methods is a constant event name."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger
