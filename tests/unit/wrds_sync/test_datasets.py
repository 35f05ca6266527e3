import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.support.paths import PROJECT
from wrds_sync.errors import DatasetConfigError
from wrds_sync.settings.datasets import json_schema, load_datasets

ONE = """\
version: 1
datasets:
  - {name: a, vendor: v, frequency: daily, table: s.t, date_column: day}
"""


def load(folder: Path, text: str) -> list[str]:
    (folder / "datasets.yaml").write_text(text, "utf-8")
    return [item.name for item in load_datasets(folder).all()]


@pytest.mark.covers("S5-25", "S5-26")
def test_the_shipped_file_has_the_vendors_and_their_folders() -> None:
    catalog = load_datasets(PROJECT / "config")
    assert {item.vendor for item in catalog.all()} == {"crsp", "compustat", "fama_french"}
    [daily] = catalog.select("crsp_daily")
    assert daily.path_of(2024) == "wrds/crsp/daily/2024.parquet"
    assert len(catalog.select("crsp")) == 4
    assert len(catalog.select("all")) == len(catalog.all())
    [funda] = catalog.select("compustat_annual")
    assert funda.selection.equals == {
        "indfmt": "INDL",
        "consol": "C",
        "popsrc": "D",
        "datafmt": "STD",
    }


def test_the_published_schema_is_that_of_the_code() -> None:
    published = (PROJECT / "config/schemas/datasets.schema.json").read_text("utf-8")
    assert published == json_schema()
    jsonschema.Draft202012Validator.check_schema(json.loads(published))


def test_a_table_without_a_date_column_is_one_file(tmp_path: Path) -> None:
    load(tmp_path, ONE.replace(", date_column: day", ""))
    [item] = load_datasets(tmp_path).all()
    assert (item.is_partitioned, item.path_of(0)) == (False, "wrds/v/daily/all.parquet")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("s.t", "s.t; drop table x", "table"),
        ("s.t", "t", "table"),
        ("name: a", "name: ../a", "name"),
        ("name: a", "name: v", "named like a vendor"),
        ("name: a", "name: a, surprise: 1", "surprise"),
        ("day", "day desc", "date_column"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, problem: str) -> None:
    with pytest.raises(DatasetConfigError, match=problem):
        load(tmp_path, ONE.replace(old, new, 1))


def test_two_data_sets_do_not_share_a_folder(tmp_path: Path) -> None:
    twin = ONE + "  - {name: b, vendor: v, frequency: daily, table: s.u}\n"
    with pytest.raises(DatasetConfigError, match="the same folder stands twice"):
        load(tmp_path, twin)


def test_an_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(DatasetConfigError, match="known: all, compustat"):
        load_datasets(PROJECT / "config").select("nothing")


def test_without_a_file_nothing_is_mirrored(tmp_path: Path) -> None:
    catalog = load_datasets(tmp_path)
    assert catalog.all() == []
    assert catalog.targets() == frozenset({"all"})
    with pytest.raises(DatasetConfigError):
        catalog.select("all")
