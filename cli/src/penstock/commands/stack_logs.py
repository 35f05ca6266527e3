"""Print the ends of several log files, and what is appended to them."""

import time
from collections.abc import Mapping
from pathlib import Path

import typer

_POLL_SECONDS = 0.2
_TAIL_BYTES = 1024 * 1024


def show_logs(files: Mapping[str, Path], *, lines: int) -> dict[str, int]:
    """Print the last `lines` of each file; return how far each was read."""
    positions = {}
    for name, path in files.items():
        size = path.stat().st_size
        start = max(0, size - _TAIL_BYTES)
        text = _read(path, start, size)
        for line in text.splitlines()[-lines:] if lines else ():
            _print(name, line, among=files)
        positions[name] = size
    return positions


def follow_logs(files: Mapping[str, Path], positions: dict[str, int]) -> None:
    """Print what is appended, until Ctrl-C."""
    try:
        while True:
            for name, path in files.items():
                positions[name] = _print_news(name, path, positions[name], files)
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _print_news(name: str, path: Path, position: int, files: Mapping[str, Path]) -> int:
    size = path.stat().st_size if path.exists() else 0
    if size < position:  # rotated
        position = 0
    news = _read(path, position, size) if size > position else ""
    complete = news[: news.rfind("\n") + 1]
    for line in complete.splitlines():
        _print(name, line, among=files)
    return position + len(complete.encode(errors="surrogateescape"))


def _read(path: Path, start: int, end: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start).decode(errors="surrogateescape")


def _print(name: str, line: str, *, among: Mapping[str, Path]) -> None:
    shown = line.encode(errors="surrogateescape").decode(errors="replace")
    typer.echo(f"{name:<10} | {shown}" if len(among) > 1 else shown)
