from pathlib import Path

import pytest

from penstock.commands.stack_logs import show_logs


def test_the_last_lines_of_each_file_are_shown_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_text("1\n2\n3\n")
    (tmp_path / "b").write_text("x\n")
    positions = show_logs({"kafka": tmp_path / "a", "smb": tmp_path / "b"}, lines=2)
    assert capsys.readouterr().out == "kafka      | 2\nkafka      | 3\nsmb        | x\n"
    assert positions == {"kafka": 6, "smb": 2}


def test_a_single_file_is_shown_without_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_bytes(b"caf\xe9\n")
    show_logs({"kafka": tmp_path / "a"}, lines=10)
    assert capsys.readouterr().out == "caf\ufffd\n"


def test_no_lines_means_only_what_comes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("1\n")
    assert show_logs({"kafka": tmp_path / "a"}, lines=0) == {"kafka": 2}
    assert capsys.readouterr().out == ""
