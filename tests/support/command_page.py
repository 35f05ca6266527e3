"""The examples of docs/operations/commands.md, as a shell would run them."""

import re
import shlex
from dataclasses import dataclass

from tests.support.paths import PROJECT

_LINE = re.compile(r"^\|[^|]*\| `(?P<command>echo .* \\\| kcat .*)` \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Example:
    """One line of the page."""

    command: str
    body: str
    topic: str


def examples() -> list[Example]:
    text = (PROJECT / "docs/operations/commands.md").read_text("utf-8")
    return [_example(match["command"].replace("\\|", "|")) for match in _LINE.finditer(text)]


def _example(command: str) -> Example:
    words = shlex.split(command)
    return Example(command, body=words[1], topic=words[words.index("-t") + 1])
