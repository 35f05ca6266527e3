"""Say in one sentence why a server ended, from its exit code and what it wrote last."""

import signal
from pathlib import Path

from penstock.stack.model import PartName

_TAIL_BYTES = 64 * 1024

_KNOWN_CAUSES = (
    (
        ("No space left on device", "Disk quota exceeded"),
        (
            "{part} ended because the disk of {folder} is full; "
            "free some space and run `penstock up` again."
        ),
    ),
    (
        ("Address already in use", "Failed to bind", "NT_STATUS_ADDRESS_ALREADY"),
        (
            "{part} ended because its port {address} is taken by another program; "
            "stop that program, or choose another port with --port."
        ),
    ),
    (
        ("OutOfMemoryError", "Cannot allocate memory", "There is insufficient memory"),
        "{part} ended because there is not enough memory; end some programs and try again.",
    ),
)


def known_cause(part: PartName, written: str, *, log: Path, address: str = "") -> str | None:
    """Return the sentence for what was `written`, if it names a cause users can remove."""
    for symptoms, sentence in _KNOWN_CAUSES:
        if any(symptom in written for symptom in symptoms):
            return sentence.format(part=part.value, folder=log.parent.parent, address=address)
    return None


def explain_exit(part: PartName, code: int, written: str, *, log: Path, address: str) -> str:
    """Return why `part` ended with `code` after it had `written` this to its log."""
    cause = known_cause(part, written, log=log, address=address)
    if cause is not None:
        return cause
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    else:
        how = f"ended with exit code {code}"
    last = next((line for line in reversed(written.splitlines()) if line.strip()), "")
    said = f" ({last.strip()[:160]})" if last and code >= 0 else ""
    return f"{part.value} {how}{said}; look at {log} and start it again with `penstock up`."


def read_since(log: Path, offset: int) -> str:
    """Return the end of what was written to `log` after `offset`."""
    try:
        with log.open("rb") as file:
            file.seek(max(offset, log.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
