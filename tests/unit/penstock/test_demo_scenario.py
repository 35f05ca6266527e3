import re
from pathlib import Path

import pytest

from penstock.demo.documents import is_readable, read_document
from penstock.demo.project import Project, find_project
from penstock.demo.scenario import FEWEST_FILES, DemoError, bomb, edit, plan, truncate

PROJECT = find_project(Path(__file__).parent)
EXAMPLES = PROJECT.read_examples()


@pytest.mark.parametrize("count", range(FEWEST_FILES, len(EXAMPLES) + 1))
def test_any_number_of_files_shows_every_kind_of_change(count: int) -> None:
    scenario = plan(EXAMPLES, count=count)
    assert len(scenario.first) + len(scenario.late) == count
    changed = [*scenario.edited, *scenario.touched, *scenario.truncated, *scenario.removed]
    assert len(set(changed)) == 5
    assert set(changed) <= set(scenario.first)
    assert not scenario.bombs.keys() & EXAMPLES.keys()


def test_one_removed_file_retires_its_call_and_the_other_leaves_a_raw_one() -> None:
    scenario = plan(EXAMPLES, count=FEWEST_FILES)
    sole, better = (read_document(path, EXAMPLES[path]) for path in scenario.removed)
    left = [read_document(path, data) for path, data in scenario.first.items()]
    assert [item.kind for item in left if item.call == sole.call] == ["Corrected"]
    assert sorted(item.kind for item in left if item.call == better.call) == ["Corrected", "Raw"]


@pytest.mark.parametrize("count", [FEWEST_FILES - 1, len(EXAMPLES) + 1])
def test_a_number_of_files_that_cannot_be_shown_is_refused(count: int) -> None:
    with pytest.raises(DemoError, match=f"7 to 24 files, not {count}"):
        plan(EXAMPLES, count=count)


def test_an_edit_adds_a_sentence_and_keeps_the_rest() -> None:
    path, data = next(iter(EXAMPLES.items()))
    before, after = read_document(path, data), read_document(path, edit(data))
    assert after.words == before.words + 10
    assert (after.turns, after.title) == (before.turns, before.title)


def test_half_a_file_is_not_readable_and_still_text() -> None:
    for data in EXAMPLES.values():
        assert not is_readable(truncate(data))
        truncate(data).decode()


def test_the_bomb_is_small_and_would_grow_beyond_any_memory() -> None:
    text = bomb().decode()
    assert len(text) < 4096
    assert not is_readable(text.encode())
    # Each of thirty entities doubles the one before: 2 letters * 2**30.
    assert re.findall(r'ENTITY (a\d+) "&(a\d+);&\2;"', text)[-1] == ("a30", "a29")


def test_the_examples_are_of_every_kind_that_the_attribution_promises() -> None:
    texts = {path: data.decode() for path, data in EXAMPLES.items()}
    assert len(texts) == 24
    assert sum(len(data) for data in EXAMPLES.values()) < 1_200_000
    assert sum("<TranscriptsCollection>" in text for text in texts.values()) == 3
    assert sum("xmlns=" not in text for text in texts.values()) == 7
    assert sum(path.startswith("InvalidTitle/") for path in texts) == 3
    assert sum(not text.isascii() for text in texts.values()) > 0


def test_every_example_belongs_to_a_listed_institution_and_none_is_listed_in_vain() -> None:
    tickers = {read_document(path, data).ticker for path, data in EXAMPLES.items()}
    assert tickers == set(PROJECT.institutions())


def test_a_folder_without_the_project_falls_back_to_where_the_code_came_from() -> None:
    assert find_project(Path("/")) == PROJECT


def test_the_project_is_found_from_a_folder_below_it() -> None:
    assert find_project(PROJECT.examples / "Data") == Project(PROJECT.root)
