import ast
from pathlib import Path

import pytest

import scanner
from tests.support.paths import PROJECT

SOURCES = sorted(Path(scanner.__file__).parent.rglob("*.py"))
TOO_WIDE = frozenset({"Exception", "BaseException"})


@pytest.mark.covers("S1-31")
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_only_named_errors_are_caught(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            names = {item.id for item in ast.walk(node.type) if isinstance(item, ast.Name)}
            assert names.isdisjoint(TOO_WIDE)


@pytest.mark.covers("S1-34", "C-09")
def test_only_the_adapter_of_log_files_opens_local_files() -> None:
    openers = {
        path.relative_to(PROJECT).name
        for path in SOURCES
        if any(
            isinstance(node, ast.Attribute)
            and node.attr in ("open", "write_text", "write_bytes")
            and isinstance(node.value, ast.Name)
            and node.value.id in ("path", "Path", "file")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
        )
    }
    assert openers == {"log_files.py"}
