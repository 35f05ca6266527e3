"""House rules that no linter knows."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from chassis.errors import PenstockError
from tests.support.paths import PROJECT
from tests.support.repository import SHIPPED, parsed, project_files, shipped_modules, shown

LONGEST_MODULE = 400
LONGEST_TEST = 600

CATCHES_ALL = {
    "cli/src/penstock/stack/supervisor.py": "one part's bug must not take the others down",
    "libs/chassis/src/chassis/bus/applier.py": "the delivery loop is where bugs end",
    "libs/chassis/src/chassis/bus/subscription.py": "the delivery loop: the framework polls on",
    "libs/chassis/src/chassis/process.py": "the supervisor of the process",
    "libs/chassis/src/chassis/runs/worker.py": "the supervisor of runs",
    "services/refresher/src/refresher/adapters/sqlserver_child.py": (
        "the edge of a process: native panics too are told to its parent"
    ),
}
"""Modules that may catch whatever comes, and why."""


def is_test(path: Path) -> bool:
    return shown(path).startswith("tests/")


def test_the_scan_of_the_project_finds_its_modules() -> None:
    found = {shown(path) for path in shipped_modules()}

    assert "libs/chassis/src/chassis/db.py" in found
    assert "services/scanner/src/scanner/app.py" in found
    assert "cli/src/penstock/cli.py" in found
    assert not any(".venv" in name for name in found)


def test_modules_stay_short() -> None:
    long = {
        shown(path): count
        for path in project_files(".py")
        if (count := len(path.read_text("utf-8").splitlines()))
        > (LONGEST_TEST if is_test(path) else LONGEST_MODULE)
    }
    assert long == {}, "what is its second responsibility?"


def test_every_module_says_why_it_exists() -> None:
    silent = [shown(path) for path in shipped_modules() if not ast.get_docstring(parsed(path))]

    assert silent == []


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "base", "manager", "misc"])
def test_no_module_has_a_name_that_says_nothing(name: str) -> None:
    assert [shown(path) for path in project_files(".py") if path.stem == name] == []


# --- errors


def _classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]


def _error_classes() -> list[tuple[str, ast.ClassDef]]:
    return [
        (shown(path), node)
        for path in shipped_modules()
        for node in _classes(path)
        if node.name.endswith("Error")
    ]


def test_the_docstring_of_an_error_is_a_sentence_that_can_be_its_message() -> None:
    found = _error_classes()
    unfit = [
        f"{path}: {node.name}: {text!r}"
        for path, node in found
        for text in [(ast.get_docstring(node) or "").splitlines()[:1]]
        if not text or not text[0].endswith(".") or not text[0][0].isupper() or " " not in text[0]
    ]
    assert len(found) > 20
    assert unfit == []


def test_an_exception_is_called_an_error() -> None:
    odd = [
        f"{shown(path)}: {node.name}"
        for path in shipped_modules()
        for node in _classes(path)
        if any(
            isinstance(parent, ast.Name) and parent.id.endswith(("Error", "Exception"))
            for parent in node.bases
        )
        and not node.name.endswith("Error")
    ]
    assert odd == []


def test_an_error_without_a_message_says_its_docstring() -> None:
    class ShareMissingError(PenstockError):
        """The share is not there.

        Not part of the message.
        """

    error = ShareMissingError(path="a/b")

    assert str(error) == "The share is not there."
    assert error.facts == {"path": "a/b"}


def _reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _catches_all(path: Path) -> bool:
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.ExceptHandler) or _reraises(node):
            continue
        names = {
            item.id for item in ast.walk(node.type or ast.Pass()) if isinstance(item, ast.Name)
        }
        if node.type is None or names & {"Exception", "BaseException"}:
            return True
    return False


@pytest.mark.covers("S1-31", "C-42")
def test_only_the_delivery_loop_and_the_supervisors_catch_whatever_comes() -> None:
    found = {shown(path) for path in shipped_modules() if _catches_all(path)}

    assert found == set(CATCHES_ALL)


def test_no_error_is_raised_inside_an_except_without_its_cause() -> None:
    # `raise X` inside an `except` hides what was meant; it is `from error` or `from None`.
    orphans = [
        f"{shown(path)}:{node.lineno}"
        for path in shipped_modules()
        for handler in ast.walk(parsed(path))
        if isinstance(handler, ast.ExceptHandler)
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.cause is None
    ]
    assert orphans == []


# --- the bus


def _calls(path: Path, name: str) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == name for node in ast.walk(parsed(path))
    )


def test_every_subscriber_is_declared_by_the_bus() -> None:
    subscribers = [shown(path) for path in shipped_modules() if _calls(path, "subscriber")]

    assert subscribers == ["libs/chassis/src/chassis/bus/broker.py"]


def test_nobody_mounts_the_page_that_publishes_to_the_real_broker() -> None:
    mounts = [
        shown(path)
        for path in shipped_modules()
        if _calls(path, "asyncapi_path")
        or re.search(r"AsyncAPIRoute|make_asyncapi_asgi|try_it_out", path.read_text("utf-8"))
    ]
    assert mounts == []


@pytest.mark.covers("S3-19")
def test_every_member_runs_on_python_3_11_and_is_locked() -> None:
    members = [path for path in project_files(".toml") if path.name == "pyproject.toml"]
    floors = {
        shown(path): tomllib.loads(path.read_text("utf-8"))["project"]["requires-python"]
        for path in members
    }
    lock = tomllib.loads((PROJECT / "uv.lock").read_text("utf-8"))

    assert len(floors) > len(SHIPPED)
    assert set(floors.values()) == {">=3.11"}
    assert lock["requires-python"] == ">=3.11"


@pytest.mark.covers("S4-24")
def test_make_check_formats_lints_and_types() -> None:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    recipe = makefile.partition("\ncheck:")[2].partition("\ntest:")[0]
    tools = ("ruff format --check .", "ruff check .", "mypy")
    assert [tool for tool in tools if f"\t$(RUN) {tool}\n" not in recipe] == []


@pytest.mark.covers("S4-24")
def test_tests_are_chosen_by_module_and_by_name() -> None:
    name = "test_windows_means_the_ticket_of_kerberos"
    module = "tests/unit/refresher/test_sqlserver_connections.py"
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", module, "-k", name],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    chosen = [line for line in found.stdout.splitlines() if "::" in line]
    assert chosen == [f"{module}::{name}"]
