"""`penstock demo --exit` as a newcomer runs it: every figure is what the inputs imply."""

from pathlib import Path

import pytest

from penstock.stack import Stack, read_settings
from tests.support.command_line import start_penstock

pytestmark = pytest.mark.timeout(400)


def test_the_demo_checks_its_own_sums_and_stops_everything(tmp_path: Path) -> None:
    demo = start_penstock("demo", "--exit", "--files", "7", state_dir=tmp_path)
    shown, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, shown
    assert "✓ Every figure is what the inputs imply" in shown
    assert "✗" not in shown
    assert not Stack(
        settings=read_settings().in_folder(tmp_path / "demo")
    ).state_dir.is_supervised()
