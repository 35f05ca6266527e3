"""What must not be in the project: machines, people, secrets, loose ends."""

import re
from pathlib import Path

import pytest

from tests.support.paths import PROJECT
from tests.support.repository import project_files, shown

THIS = Path(__file__)
TEXTS = [
    path
    for path in project_files(
        ".py", ".md", ".toml", ".yaml", ".yml", ".json", ".sql", ".sh", ".xml", ".cfg", ".ini", ""
    )
    if path not in (THIS, PROJECT / "uv.lock")
    and not shown(path).startswith("examples/transcripts/")
]

FORBIDDEN = {
    "a folder of somebody's machine": r"(?<![\w.:/-])/(?:root|home/\w+|Users/\w+|work)/",
    "a temporary folder": r"(?<![\w.])/tmp/\w",
    "a host of somebody's network": r"\b[\w-]+\.(?:corp|lan|intranet|internal)\b(?![(.])",
    "a private package registry": r"\b(?:artifactory|nexus[.-]|jfrog|devpi)\b",
    "a loose end": r"\b(?:TODO|FIXME|XXX|HACK)\b",
    "a private key": r"-----BEGIN (?:\w+ )?PRIVATE KEY",
    "a cloud credential": r"\bAKIA[0-9A-Z]{16}\b",
}
ALLOWED = {
    ("CONTRIBUTING.md", "a loose end"): "the rule itself",
}
EXAMPLE_ADDRESS = re.compile(
    r"@(?:[\w-]+\.)*(?:example|example\.(?:com|org|net))$|@[\d.]+$|@\w\.edu$", re.IGNORECASE
)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_project_holds_nothing_private_and_no_loose_end(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{shown(path)}:{number}: {line.strip()[:100]}"
        for path in TEXTS
        if (shown(path), what) not in ALLOWED
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a folder of somebody's machine", "path = '/home/mia/data'"),
        ("a folder of somebody's machine", "see /Users/mia/"),
        ("a temporary folder", "open('/tmp/x')"),
        ("a host of somebody's network", "broker kafka01.corp:9092"),
        ("a loose end", "# TODO: later"),
        ("a private key", "-----BEGIN RSA PRIVATE KEY-----"),
        ("a cloud credential", "AKIAABCDEFGHIJKLMNOP"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str) -> None:
    assert re.search(FORBIDDEN[what], text)


def test_addresses_of_people_are_examples() -> None:
    address = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
    real = [
        f"{shown(path)}: {found}"
        for path in TEXTS
        for found in address.findall(path.read_text("utf-8", "replace"))
        if not EXAMPLE_ADDRESS.search(found)
    ]
    assert real == []


def test_packages_come_from_the_public_registry() -> None:
    lock = (PROJECT / "uv.lock").read_text("utf-8")

    for kind in (r'registry = "([^"]+)"', r'url = "(https?://[^/"]+)'):
        (only,) = set(re.findall(kind, lock))
        assert re.fullmatch(r"https://[a-z.]+\.org(/simple)?", only), only
