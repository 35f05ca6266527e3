"""The files of the project, for tests about the project itself."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import PROJECT

_NOT_OURS = frozenset(
    {
        ".git",
        ".hypothesis",
        ".import_linter_cache",
        ".mypy_cache",
        ".penstock",
        ".pytest_cache",
        ".ruff_cache",
        ".tools",
        ".venv",
        "__pycache__",
        "build",
        "dist",
        "target",
    }
)
SHIPPED = ("libs", "services", "cli")
"""Where the product's code lies."""


@functools.cache
def project_files(*suffixes: str) -> list[Path]:
    """Return the project's files with these suffixes (all of them without any)."""
    return sorted(path for path in _walk(PROJECT) if not suffixes or path.suffix in suffixes)


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _NOT_OURS or path.name.endswith(".egg-info") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


@functools.cache
def shipped_modules() -> list[Path]:
    """Return every module of the product."""
    return [path for path in project_files(".py") if shown(path).split("/")[0] in SHIPPED]


def shown(path: Path) -> str:
    """Return a path as people write it."""
    return path.relative_to(PROJECT).as_posix()


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))
