"""The contracts of the architecture bite: an import that is planted in a copy is refused.

A contract that nothing can break protects nothing, and a renamed package turns one into that
silently.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

SOURCES = [path for path in PROJECT.glob("*/*/src") if path.is_dir()] + [PROJECT / "cli/src"]

PLANTS = {
    "a service that imports another": (
        "services/scanner/src/scanner/handlers/planted.py",
        "import ingestor.ports",
        "1 services and the CLI do not know each other",
    ),
    "a library that imports a service": (
        "libs/chassis/src/chassis/planted.py",
        "import scanner.ports",
        "1 services and the CLI do not know each other",
    ),
    "contracts that import the chassis": (
        "libs/contracts/src/contracts/planted.py",
        "import chassis.clock",
        "1 services and the CLI do not know each other",
    ),
    "an adapter that imports a handler": (
        "services/ingestor/src/ingestor/adapters/planted.py",
        "import ingestor.handlers.ingest_files",
        "2 every service has the same rooms",
    ),
    "a handler that imports an adapter": (
        "services/ingestor/src/ingestor/handlers/planted.py",
        "import ingestor.adapters.postgres_catalog",
        "2 every service has the same rooms",
    ),
    "a room that the architecture does not name": (
        "services/transformer/src/transformer/utils.py",
        "",
        "2 every service has the same rooms",
    ),
    "a domain that reads a database": (
        "services/transformer/src/transformer/domain/planted.py",
        "import chassis.db",
        "3 the domain does no I/O",
    ),
    "a domain that knows a client library": (
        "services/scanner/src/scanner/domain/planted.py",
        "import asyncpg",
        "3 the domain does no I/O",
    ),
    "a handler that declares a subscriber": (
        "services/ingestor/src/ingestor/handlers/planted.py",
        "import faststream",
        "4 faststream is known to the bus and to consumers only",
    ),
    "a handler that opens a connection": (
        "services/ingestor/src/ingestor/handlers/planted.py",
        "import asyncpg",
        "5 clients of databases, brokers, stores and shares",
    ),
    "a handler that opens a share": (
        "services/scanner/src/scanner/handlers/planted.py",
        "import smb.SMBConnection",
        "5 clients of databases, brokers, stores and shares",
    ),
    "a service that runs on a double": (
        "services/ingestor/src/ingestor/app.py",
        "import chassis.testing.blobs",
        "6 test doubles stay in tests",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code and of the contracts."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copy(PROJECT / "pyproject.toml", root)
    for source in SOURCES:
        shutil.copytree(
            source,
            root / source.relative_to(PROJECT),
            ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
        )
    return root


def lint(root: Path) -> tuple[int, str]:
    places = [str(root / source.relative_to(PROJECT)) for source in SOURCES]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--cache-dir", "cache"],
        cwd=root,
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(places), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_code_as_it_is_keeps_every_contract(copy: Path) -> None:
    code, report = lint(copy)

    assert code == 0, report
    assert "6 kept, 0 broken" in report


@pytest.mark.parametrize("case", PLANTS)
def test_a_planted_import_is_refused_by_its_contract(copy: Path, case: str) -> None:
    place, line, contract = PLANTS[case]
    target = copy / place
    original = target.read_text("utf-8") if target.exists() else None
    target.write_text(f'"""Planted."""\n\n{line}\n' + (original or ""), "utf-8")
    try:
        code, report = lint(copy)
    finally:
        if original is None:
            target.unlink()
        else:
            target.write_text(original, "utf-8")

    broken = [name for name in report.splitlines() if " BROKEN" in name]
    assert code == 1, report
    assert any(name.startswith(contract) for name in broken), report
