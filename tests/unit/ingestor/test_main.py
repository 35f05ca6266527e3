import pytest

from ingestor.__main__ import main


def test_missing_settings_are_named_all_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["ingestor"])
    assert main() == 1
    written = capsys.readouterr().err
    assert "`DATABASE_URL` is missing" in written
    assert "`KAFKA_BOOTSTRAP_SERVERS` is missing" in written
