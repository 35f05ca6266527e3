import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.demo.records import (
    RecordFigures,
    RecordInputs,
    compare_records,
    write_record_sources,
)
from tests.support.paths import PROJECT


def person(uniqname: str, number: str, *, is_active: bool = True) -> dict[str, Any]:
    return {"AlternateID": uniqname, "ExternalID": number, "IsActive": is_active}


def job(uniqname: str, number: str, department: str) -> dict[str, Any]:
    return {"UniqName": uniqname, "EmplId": number, "DepartmentId": department}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "directory" / "three_sources_febrl"
    directory.mkdir(parents=True)
    people = [person("ada", "1"), person("bob", "2", is_active=False), person("cyd", "3")]
    # Ada stands twice, once under another name and the same number; Eve is known to one only.
    jobs = [
        job("ADA ", "1", "10"),
        job("ada2", "1", "20"),
        job("bob", "2", "10"),
        job("eve", "9", "10"),
    ]
    (directory / "tdx_people.json").write_text(json.dumps(people), "utf-8")
    (directory / "umapi_department_employees.json").write_text(json.dumps(jobs), "utf-8")
    market = tmp_path / "market"
    (market / "fmp_v3").mkdir(parents=True)
    (market / "holdings.csv").write_text(
        'Some Fund\nCash,"-"\n\xa0\nTicker,Name,Asset Class\n'
        '"AAA","A, INC","Equity"\n"-","RIGHTS","Equity"\n"USD","CASH","Cash"\n\xa0\n"Words."\n',
        "utf-8-sig",
    )
    (market / "fmp_v3" / "historical-price-full_AAA.json").write_text(
        '{"symbol": "AAA", "historical": [{}, {}, {}]}', "utf-8"
    )
    return tmp_path


def test_the_inputs_are_counted_by_hand(folder: Path) -> None:
    assert RecordInputs.load(folder).figures(valuations=1) == RecordFigures(
        people_told=6,
        completed=2,
        people=4,
        departments=2,
        companies=1,
        prices=3,
        valuations=1,
    )


def test_a_figure_that_differs_is_told() -> None:
    rows = compare_records(RecordFigures(people=4), RecordFigures(people=5))

    assert [row.name for row in rows if not row.is_right] == ["silver people"]


def test_the_presets_are_turned_to_the_sample_api_and_ask_no_real_provider(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("{version: 1, sources: []}", "utf-8")

    write_record_sources(
        PROJECT / "config" / "presets", tmp_path, api="http://127.0.0.1:1", market=tmp_path
    )

    included = yaml.safe_load((tmp_path / "sources.yaml").read_text("utf-8"))["include"]
    text = "".join((tmp_path / name).read_text("utf-8") for name in included)
    assert "https://" not in text
    assert "budget" not in text
    assert text.count("http://127.0.0.1:1") >= len(included)
