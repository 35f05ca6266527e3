"""A state folder of the test's own, whose stack is gone when the test is over."""

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from penstock.stack import Stack, StackSettings, read_settings


@pytest.fixture
def state_dir() -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="penstock-test-stack-"))
    yield folder
    Stack(settings=read_settings().in_folder(folder)).down()
    shutil.rmtree(folder)


@pytest.fixture
def settings(state_dir: Path) -> StackSettings:
    return read_settings().in_folder(state_dir)
