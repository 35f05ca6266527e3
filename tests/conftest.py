"""Loads the support fixtures, marks tests by their folder, cleans the environment."""

from pathlib import Path

import pytest
import structlog

from tests.support import environment

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

_LAYERS = frozenset({"unit", "contract", "integration", "e2e", "chaos"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test the marker of the layer it lies in."""
    tests = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(tests):
            layer = item.path.relative_to(tests).parts[0]
            if layer in _LAYERS:
                item.add_marker(layer)
