import pytest
import yaml

from tests.support.paths import PROJECT
from wrds_sync.app.commands import VERBS, main


@pytest.mark.covers("S5-104")
def test_the_concept_page_knows_every_data_set_and_the_decision_exists() -> None:
    page = (PROJECT / "docs/wrds/README.md").read_text("utf-8")
    config = yaml.safe_load((PROJECT / "config/datasets.yaml").read_text("utf-8"))
    assert [item["name"] for item in config["datasets"] if f"`{item['name']}`" not in page] == []
    decision = (PROJECT / "docs/decisions/0020-local-data-warehouse.md").read_text("utf-8")
    assert "ADR-012" in decision


def test_the_readme_names_every_verb() -> None:
    text = (PROJECT / "services/wrds_sync/README.md").read_text("utf-8")
    assert [verb for verb in VERBS if verb not in text] == []


@pytest.mark.covers("S5-33")
@pytest.mark.parametrize("arguments", [["full-sync"], ["incremental"], ["no-such-verb"]])
def test_a_misspelt_verb_is_not_taken_for_a_held_lock(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 1
