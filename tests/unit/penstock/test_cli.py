import pytest
from typer.testing import CliRunner

from penstock import cli
from penstock.stack import StackError


@pytest.mark.parametrize("command", ["up", "down", "status", "env", "logs"])
def test_help_shows_examples(command: str) -> None:
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert f"penstock {command}" in result.stdout.partition("Examples:")[2]


def test_an_expected_failure_is_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StackError("Port 9092 for kafka is taken [by] another program.")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    assert capsys.readouterr().err == (
        "penstock: Port 9092 for kafka is taken [by] another program.\n"
    )


def test_a_bug_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main()
