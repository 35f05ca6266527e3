"""How long and how hard: `make chaos ARGS="--chaos-kills 200 --chaos-files 10000 --chaos-seed
7"`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--chaos-files", type=int, default=10_000, help="files on the share")
    group.addoption("--chaos-kills", type=int, default=25, help="kill -9 at the least")
    group.addoption("--chaos-cuts", type=int, default=20, help="cuts of the share")
    group.addoption("--chaos-rows", type=int, default=250_000, help="rows of a large table")
    group.addoption("--chaos-seed", type=int, default=None, help="repeat a run")
