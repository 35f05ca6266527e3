import io

from rich.console import Console

from penstock.commands.stack_view import StackProgress, state_table
from penstock.stack import PartName, PartState, PartStatus, StackState
from penstock.stack.model import ProcessIdentity

SUPERVISOR = ProcessIdentity(pid=1, started="1")


def _console() -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    return Console(file=output, width=120), output


def _state(**parts: PartState) -> StackState:
    return StackState(
        supervisor=SUPERVISOR, parts={PartName(name): part for name, part in parts.items()}
    )


def test_progress_prints_a_line_per_change_where_nobody_watches() -> None:
    console, output = _console()
    with StackProgress(console) as progress:
        preparing = _state(kafka=PartState(status=PartStatus.PREPARING))
        progress.show(preparing)
        progress.show(preparing)
        progress.show(_state(kafka=PartState(status=PartStatus.READY, address="127.0.0.1:9092")))
    assert output.getvalue().splitlines() == [
        "· kafka    preparing (the first time downloads it)",
        "✓ kafka    ready  127.0.0.1:9092",
    ]


def test_the_table_shows_address_process_and_reason() -> None:
    console, output = _console()
    console.print(
        state_table(
            _state(
                postgres=PartState(
                    status=PartStatus.READY,
                    address="127.0.0.1:5432",
                    process=ProcessIdentity(pid=42, started="9"),
                ),
                smb=PartState(status=PartStatus.DEAD, message="smb was killed by SIGKILL."),
            )
        )
    )
    header, postgres, smb = (line.split() for line in output.getvalue().splitlines())
    assert header == ["PART", "STATE", "PID", "ADDRESS"]
    assert postgres == ["postgres", "ready", "42", "127.0.0.1:5432"]
    assert smb == ["smb", "dead", "-", "smb", "was", "killed", "by", "SIGKILL."]
