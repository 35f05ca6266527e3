"""Reads the project's Markdown files for the tests that compare them with the code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import PROJECT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(PROJECT).as_posix()

    @property
    def prose(self) -> str:
        """The text without fenced blocks and comments."""
        return _FENCE.sub("", _COMMENT.sub("", self.text))

    def links(self) -> list[str]:
        """The targets of all links that stay in the project."""
        return [
            target
            for target in _LINK.findall(_CODE_SPAN.sub("", self.prose))
            if not target.startswith(("http://", "https://", "mailto:"))
        ]

    def code_spans(self) -> list[str]:
        return _CODE_SPAN.findall(self.prose)

    def code(self) -> Iterator[str]:
        """Yield every code span, and every fenced block that is no drawing."""
        yield from self.code_spans()
        for language, block in _FENCE.findall(self.text):
            if language != "mermaid":
                yield block

    def anchors(self) -> set[str]:
        """What a link may name behind `#`, by GitHub's rule."""
        return {
            re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in _HEADING.findall(self.prose)
        }


def read_page(name: str) -> Page:
    path = PROJECT / name
    return Page(path, path.read_text("utf-8"))


def all_pages() -> list[Page]:
    """Every Markdown file of the project, without those that tools have put there."""
    found: list[Page] = []
    for path in sorted(PROJECT.rglob("*.md")):
        folders = path.relative_to(PROJECT).parts[:-1]
        if not any(folder.startswith(".") or folder == "node_modules" for folder in folders):
            found.append(Page(path, path.read_text("utf-8")))
    return found
