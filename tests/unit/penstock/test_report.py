from pathlib import Path

from penstock.stack.model import PartName, PartState, PartStatus
from penstock.stack.report import Report
from penstock.stack.statedir import StateDir


def _report(folder: Path) -> Report:
    directory = StateDir(folder)
    directory.create()
    return Report(directory)


def test_what_is_set_is_told_at_once(tmp_path: Path) -> None:
    report = _report(tmp_path)
    report.set(PartName.S3, PartState(status=PartStatus.STARTING))
    report.finish(4)
    told = report.directory.read_state()
    assert told == report.state
    assert told is not None
    assert told.generation == 4
    assert told.parts[PartName.S3].status is PartStatus.STARTING


def test_what_could_not_be_told_is_told_later(tmp_path: Path) -> None:
    report = _report(tmp_path)
    blocker = tmp_path / "state.json"
    blocker.mkdir()
    report.set(PartName.S3, PartState(status=PartStatus.STARTING))
    blocker.rmdir()
    assert report.directory.read_state() is None
    report.flush()
    assert report.directory.read_state() == report.state


def test_only_usable_parts_are_exported(tmp_path: Path) -> None:
    report = _report(tmp_path)
    report.set(PartName.S3, PartState(status=PartStatus.READY, env={"A": "1"}))
    report.set(PartName.KAFKA, PartState(status=PartStatus.GIVEN, env={"B": "2"}))
    report.set(PartName.SMB, PartState(status=PartStatus.STARTING, env={"C": "3"}))
    report.fail(PartName.POSTGRES, "no luck.")
    assert report.state.env == {"A": "1", "B": "2"}
    assert report.state.parts[PartName.POSTGRES].message == "no luck."
