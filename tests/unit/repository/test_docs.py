"""The documentation names nothing that is not there."""

import pkgutil
import re
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from chassis.settings import LEGACY_NAMES
from contracts.topics import TOPICS
from penstock.cli import app
from tests.support.paths import PROJECT
from tests.unit.repository.markdown import Page, all_pages, read_page

PAGES = all_pages()
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

_FOLDERS = ("libs", "services", "cli", "config", "deploy", "docs", "examples", "scripts", "tests")
_PATH = re.compile(rf"(?:{'|'.join(_FOLDERS)})/[\w./@-]*")
_MODULE = re.compile(r"(?:contracts|chassis|scanner|ingestor|transformer|penstock)(?:\.\w+)+")
_DATABASE_OBJECT = re.compile(r"(?:meta|bronze|silver|quality)\.\w+")
_SETTING = re.compile(
    r"(?:AWS|DATABASE|INGESTOR|KAFKA|NAS|PENSTOCK|S3|SCANNER|TRANSFORMER)_[A-Z_]+"
)
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|home|work|tmp|Users|mnt)/")


@each_page
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    broken = []
    for link in page.links():
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        if not path.exists() or (
            anchor and anchor not in Page(path, path.read_text("utf-8")).anchors()
        ):
            broken.append(link)
    assert broken == []


@each_page
def test_every_path_that_is_named_exists(page: Page) -> None:
    named = [span for span in page.code_spans() if _PATH.fullmatch(span) and "NNNN" not in span]
    assert [path for path in named if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize(
    "page",
    # The requirements quote the names of the systems that Penstock replaces.
    [page for page in PAGES if page.name != "docs/requirements.md"],
    ids=lambda page: page.name,
)
def test_every_module_table_and_topic_that_is_named_exists(page: Page) -> None:
    known = _database_objects() | {topic.name for topic in TOPICS}
    named = [
        span
        for span in page.code_spans()
        if _MODULE.fullmatch(span) or _DATABASE_OBJECT.fullmatch(span)
    ]
    columns = {name for name in named if name.rpartition(".")[0] in _database_objects()}
    unknown = [name for name in named if name not in known | columns]
    assert [name for name in unknown if not _can_be_imported(name)] == []


@each_page
def test_every_setting_that_is_named_exists(page: Page) -> None:
    known = _documented_settings() | LEGACY_NAMES
    named = {name.rstrip("_") for span in page.code() for name in _SETTING.findall(span)}
    assert {name for name in named if name not in known and not _is_prefix(name, known)} == set()


@each_page
def test_every_make_target_that_is_named_exists(page: Page) -> None:
    named = {
        target for code in page.code() for target in re.findall(r"\bmake ([a-z][a-z0-9-]*)", code)
    }
    assert named - _make_targets() == set()


@each_page
def test_every_penstock_command_that_is_named_exists(page: Page) -> None:
    commands = [
        words.split()
        for code in page.code()
        for words in re.findall(r"(?<![\w./-])penstock((?: [a-z][a-z-]*)+)", code)
    ]
    assert [words for words in commands if not _is_command(words)] == []


@each_page
def test_no_page_names_a_path_of_a_machine(page: Page) -> None:
    assert _MACHINE_PATH.findall(page.text) == []


def test_every_decision_is_listed() -> None:
    index = read_page("docs/decisions/README.md").links()
    decisions = {path.name for path in (PROJECT / "docs/decisions").glob("[0-9]*.md")}
    assert decisions - set(index) == set()


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if re.match(r"docs/decisions/\d", page.name)],
    ids=lambda page: page.path.stem,
)
def test_every_decision_fits_on_a_page_and_says_what_it_rests_on(page: Page) -> None:
    parts = ("Context", "Decision", "Consequences", "Enforced by", "Revisit when")
    missing = [
        part for part in parts if not re.search(rf"^(\*\*|#+ ){part}", page.text, re.MULTILINE)
    ]
    assert missing == []
    assert page.text.startswith(f"# {page.path.stem[:4]} ")
    assert len(page.text.splitlines()) <= 60


def test_every_member_has_a_readme_that_says_something() -> None:
    silent = [
        member.name
        for folder in ("libs", "services")
        for member in sorted((PROJECT / folder).iterdir())
        if member.is_dir() and len((member / "README.md").read_text("utf-8")) < 300
    ]
    assert silent == []


def test_every_page_of_the_documentation_is_listed_in_its_index() -> None:
    index = {(PROJECT / "docs" / link).resolve() for link in read_page("docs/README.md").links()}
    pages = {
        page.path
        for page in PAGES
        if page.name.startswith(("docs/architecture/", "docs/operations/", "docs/runbooks/"))
    }
    # A page per alert is listed in the index of that folder.
    assert {page for page in pages if page.parent.name != "alerts"} - index == set()


@pytest.mark.covers("S1-41")
def test_troubleshooting_answers_what_operators_asked_before() -> None:
    page = read_page("docs/operations/troubleshooting.md")
    asked = {
        "no-files-are-found",
        "the-inventory-cannot-be-believed",
        "the-share-cannot-be-reached",
    }
    assert asked - page.anchors() == set()
    # Where to turn, in this order: the errors, the share and its configuration, whoever writes.
    opening = " ".join(page.text.partition("\n## ")[0].split())
    order = ("errors of the service", "share and the configuration", "whoever writes to the share")
    assert [phrase for phrase in order if phrase not in opening] == []
    assert sorted(order, key=opening.index) == list(order)


def test_every_make_target_says_what_it_does() -> None:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    described = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    assert set(phony.group(1).split()) - described == set()


def _left_to_nobody(makefile: str) -> set[str]:
    """Return the folders that `make test` leaves out and `make check` does not run."""
    recipes = dict(re.findall(r"^(\w+):.*\n((?:[\t ].*\n)+)", makefile, re.MULTILINE))
    checked = re.findall(r"^\t\$\(PYTEST\).*? (tests/\S+)$", recipes["check"], re.MULTILINE)
    return set(re.findall(r"--ignore[ =](\S+)", recipes["test"])) - set(checked)


def test_what_make_test_leaves_out_is_run_by_make_check() -> None:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    assert _left_to_nobody(makefile) == set()
    forgotten = makefile.replace("--quiet tests/unit/deploy\n", "--quiet\n")
    assert _left_to_nobody(forgotten) == {"tests/unit/deploy"}


def _make_targets() -> set[str]:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))


def _is_command(words: list[str]) -> bool:
    command: object = typer.main.get_command(app)
    for word in words:
        if not isinstance(command, TyperGroup):
            return isinstance(command, TyperCommand)  # the rest are arguments
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


def _database_objects() -> set[str]:
    kinds = r"(?:table|view|materialized view|sequence|function)"
    return {
        name
        for path in PROJECT.glob("*/*/src/*/sql/*.sql")
        for name in re.findall(
            rf"create {kinds} (?:if not exists )?(\w+\.\w+)", path.read_text("utf-8")
        )
    } | {"meta.migrations"}


def _can_be_imported(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def _documented_settings() -> set[str]:
    return set(_first_cells(read_page("docs/operations/settings.md")))


def _first_cells(page: Page) -> Iterator[str]:
    yield from re.findall(r"^\| `([A-Z0-9_]+)` \|", page.text, re.MULTILINE)


def _is_prefix(name: str, known: set[str]) -> bool:
    """Return whether `name` is written as in `NAS_*`."""
    return any(item.startswith(f"{name}_") for item in known)
