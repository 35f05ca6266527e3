import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.domain.transcripts.text import clean


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("AT&amp;T", "AT&T"),
        ("a&nbsp;b", "a b"),
        ("&lt;inaudible&gt;", "<inaudible>"),
        ("caf&eacute; &#8230; &#x20AC;5", "café … €5"),
        ("&quot;quote&quot; &apos;s", '"quote" \'s'),
        ("  two\n   lines\t", "two lines"),
        ("a\u00a0b\u2028c", "a b c"),
        ("", ""),
    ],
)
def test_a_second_round_of_escaping_is_undone_and_space_folded(raw: str, meant: str) -> None:
    assert clean(raw) == meant


@pytest.mark.parametrize(
    "words", ["R&D", "Q&A;", "S&P 500", "AT&T;", "R&paragraph", "&copyright", "&;", "&#;", "&#xZZ;"]
)
def test_ampersands_in_words_stay(words: str) -> None:
    assert clean(words) == words


def test_only_one_round_is_undone() -> None:
    assert clean("&amp;amp;") == "&amp;"


@pytest.mark.parametrize("reference", ["&#0;", "&#xD800;", "&#x110000;", "&#1;"])
def test_a_reference_to_no_character_brings_nothing_that_a_database_refuses(reference: str) -> None:
    assert clean(f"a{reference}b") in ("a\ufffdb", "ab")


@given(st.text())
def test_the_result_has_single_spaces_only_and_cleaning_needs_no_second_pass_without_references(
    text: str,
) -> None:
    result = clean(text)
    assert result == " ".join(result.split())
    if "&" not in result:
        assert clean(result) == result
