"""How dead letters look in a terminal."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chassis.dead_letters.model import Letter, LetterGroup

_SHORT_ID = 8
_SHOWN_BYTES = 4096


def letters_table(letters: Sequence[Letter]) -> Table:
    """Return a line a letter, newest first."""
    table = Table(box=None, pad_edge=False)
    for name in ("LETTER", "FAILED (UTC)", "CONSUMER", "TOPIC", "CATEGORY", "STATUS"):
        table.add_column(name, no_wrap=True)
    table.add_column("REASON", overflow="fold")
    for letter in letters:
        table.add_row(
            str(letter.id)[:_SHORT_ID],
            f"{letter.failed_at:%Y-%m-%d %H:%M:%S}",
            letter.consumer,
            letter.topic,
            letter.category,
            letter.status if not letter.replays else f"{letter.status}, replay {letter.replays}",
            Text(printable(f"{letter.error_class}: {letter.message}")),
        )
    return table


def groups_table(groups: Sequence[LetterGroup]) -> Table:
    """Return a line a reason, the most frequent first."""
    table = Table(box=None, pad_edge=False)
    table.add_column("LETTERS", justify="right")
    for name in ("CONSUMER", "TOPIC", "CATEGORY", "ERROR", "OLDEST (UTC)", "NEWEST (UTC)"):
        table.add_column(name, no_wrap=True)
    table.add_column("LAST REASON", overflow="fold")
    for group in groups:
        table.add_row(
            str(group.count),
            group.consumer,
            group.topic,
            group.category,
            group.error_class,
            f"{group.oldest_at:%Y-%m-%d %H:%M}",
            f"{group.newest_at:%Y-%m-%d %H:%M}",
            Text(printable(group.message)),
        )
    return table


def show_letter(console: Console, letter: Letter) -> None:
    """Print one letter with its headers and as much of its body as fits a screen or two."""
    for name, told in _facts(letter).items():
        console.print(Text.assemble((f"{name:<12}", "bold"), printable(told)), soft_wrap=True)
    console.print(Text("headers", style="bold"))
    for name, value in letter.headers.items():
        console.print(Text(f"  {printable(name)}: {printable(value)}"), soft_wrap=True)
    console.print(Text(f"value ({letter.size} bytes)", style="bold"))
    console.print(Text(body(letter.value)), soft_wrap=True)


def _facts(letter: Letter) -> dict[str, str]:
    facts = {
        "letter": str(letter.id),
        "status": letter.status,
        "failed": f"{letter.failed_at:%Y-%m-%d %H:%M:%S} UTC, after {letter.attempts} attempts",
        "consumer": letter.consumer,
        "message": f"{letter.topic}/{letter.partition}/{letter.offset}",
        "event": letter.event_id or "unknown",
        "category": letter.category,
        "error": f"{letter.chain}: {letter.message}",
        "key": repr(letter.key) if letter.key is not None else "none",
    }
    if letter.replays:
        facts["replays"] = f"{letter.replays}, the last of letter {letter.replay_of}"
    if letter.drift_id:
        facts["drift"] = str(letter.drift_id)
    if letter.decided_at:
        why = f": {letter.decision_reason}" if letter.decision_reason else ""
        facts["decided"] = (
            f"{letter.decided_at:%Y-%m-%d %H:%M:%S} UTC by {letter.decided_by}{why} "
            f"(run {letter.run_id})"
        )
    return facts


def body(value: bytes | None) -> str:
    """Return a message's body for people: JSON indented, text as it is, bytes as a literal."""
    if value is None:
        return "none"
    try:
        text = json.dumps(json.loads(value), indent=2, ensure_ascii=False)
    except ValueError:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = repr(value)
    if len(text) > _SHOWN_BYTES:
        text = f"{text[:_SHOWN_BYTES]}\n… `--raw` writes all of it"
    return printable(text)


def printable(text: str) -> str:
    """Escape what would steer a terminal: the text came from a message."""
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )
