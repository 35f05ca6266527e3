"""The runbook of the daily flow answers what operators of the original had to ask (S3-22)."""

import pytest

from tests.unit.repository.markdown import read_page


@pytest.mark.covers("S3-22")
def test_the_runbook_answers_the_usual_questions() -> None:
    page = read_page("docs/runbooks/market-data.md")

    asked = {
        "the-key-is-missing",
        "the-database-does-not-answer",
        "many-failures",
        "a-run-does-not-end",
    }
    assert asked - page.anchors() == set()


@pytest.mark.covers("S3-08", "S3-20", "S3-21", "S3-22")
def test_the_runbook_names_what_to_type_and_how_long_it_takes() -> None:
    text = read_page("docs/runbooks/market-data.md").text

    for words in (
        "penstock runs --latest",
        "penstock runs --last 10",
        "penstock runs --failed --since 24h",
        "penstock flow daily-market --step prices --wait",
        "30 to 60 minutes",
        "15 to 30 minutes",
        "PENSTOCK_LOG_LEVEL=DEBUG",
        "lower `concurrency`",
    ):
        assert words in text
