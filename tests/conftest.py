"""Loads the support fixtures, marks tests by their folder, cleans the environment.

A clone without the collection of real inputs (`shared/data` beside the project) still has a test
run: the modules that read it are left out, and the run says so at its end. So are the modules that
need a SQL Server, which nothing here can start: `PENSTOCK_TEST_MSSQL` names one.
"""

from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.support import environment
from tests.support.environment import GIVEN, IS_CI
from tests.support.paths import SHARED_DATA

__all__ = ["environment"]

pytest_plugins = ["tests.support.isolation", "tests.support.servers"]

# Plain lines: the default development renderer draws a frame around every traceback.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
    ]
)

# Here examples are new each time, so that bugs are found; in CI the same, so that it is repeatable.
hypothesis.settings.register_profile("ci", derandomize=True)
if IS_CI:
    hypothesis.settings.load_profile("ci")

_LAYERS = ("chaos", "images", "e2e", "integration", "contract", "unit")
"""Slowest tests first: workers side by side then end at about the same time."""


_READS_SHARED_DATA = ("shared_data(", "tests.e2e.story")
_NEEDS_SQL_SERVER = ("tests.support.sql_server",)
_NO_SHARED_DATA = "read shared/data, which is not beside the project,"
_NO_SQL_SERVER = "need a real SQL Server, which PENSTOCK_TEST_MSSQL does not name,"


def _why_left_out(path: Path) -> str | None:
    text = path.read_text("utf-8")
    reasons = (
        (_NO_SHARED_DATA, not SHARED_DATA.exists(), _READS_SHARED_DATA),
        (_NO_SQL_SERVER, "PENSTOCK_TEST_MSSQL" not in GIVEN, _NEEDS_SQL_SERVER),
    )
    for reason, is_missing, names in reasons:
        if is_missing and any(name in text for name in names):
            return reason
    return None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what cannot run without the real inputs, or without a SQL Server."""
    if collection_path.match("test_*.py") and _why_left_out(collection_path):
        return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out; found anew, because workers collect and this process does not."""
    left_out: dict[str, list[str]] = {}
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        if reason := _why_left_out(path):
            left_out.setdefault(reason, []).append(path.name)
    for reason, modules in left_out.items():
        terminalreporter.write_line(
            f"{len(modules)} test modules {reason} and were left out: {', '.join(modules)}",
            yellow=True,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test the marker of the layer it lies in, and order them by it."""
    for item in items:
        if (layer := _layer(item.path)) is not None:
            item.add_marker(layer)
    items.sort(key=lambda item: _LAYERS.index(_layer(item.path) or "unit"))


def _layer(path: Path) -> str | None:
    tests = Path(__file__).parent
    name = path.relative_to(tests).parts[0] if path.is_relative_to(tests) else None
    return name if name in _LAYERS else None
