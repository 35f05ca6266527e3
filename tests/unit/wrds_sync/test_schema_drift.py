from pathlib import Path

import pytest
import structlog

from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, TestMirror, open_mirror
from wrds_sync.domain.manifest import SyncManifest
from wrds_sync.domain.schema import DatasetSchema
from wrds_sync.errors import ManifestError, SchemaError

TABLE = "crsp.dsf"


@pytest.fixture
def archive() -> Archive:
    archive = Archive()
    archive.put(TABLE, prices(2023), prices(2024), modified="first")
    return archive


@pytest.fixture
def mirror(tmp_path: Path, archive: Archive) -> TestMirror:
    return open_mirror(tmp_path, archive)


def with_volume(year: int) -> dict[str, list[object]]:
    return prices(year) | {"vol": [1.0] * 4}


@pytest.mark.covers("S5-23", "S5-98")
async def test_a_new_column_is_accepted_with_a_warning(
    mirror: TestMirror, archive: Archive
) -> None:
    await mirror.manager.full_sync(CRSP, 2023)
    archive.put(
        TABLE,
        *(with_volume(year) for year in (2023, 2024)),
        modified="second",
    )
    with structlog.testing.capture_logs() as logs:
        outcome = await mirror.manager.incremental_sync(CRSP)
    [warning] = [line for line in logs if line["event"] == "schema_drifted"]
    assert (warning["log_level"], warning["new_columns"]) == ("warning", ("vol",))
    registered = await mirror.registry.get_schema("crsp")
    assert registered is not None
    assert (registered.version, list(registered.columns)) == (2, ["permno", "date", "prc", "vol"])
    assert [drift.kind.value for drift in mirror.ledger.drifts] == ["additive"]
    assert outcome.report is None
    assert mirror.rows()["vol"].sum() == 8


@pytest.mark.covers("S5-23", "S5-99")
async def test_a_removed_column_refuses_the_sync(mirror: TestMirror, archive: Archive) -> None:
    await mirror.manager.full_sync(CRSP, 2023)
    rows = prices(2024, price=99)
    del rows["prc"]
    archive.put(TABLE, rows, modified="second")
    with pytest.raises(SchemaError, match="removed: prc"):
        await mirror.manager.incremental_sync(CRSP)
    assert mirror.rows()["prc"].max() == 13
    [drift] = mirror.ledger.drifts
    assert [str(change) for change in drift.changes] == ["- prc (double)"]


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "retyped"])
async def test_an_accepted_change_is_registered_and_every_partition_copied_anew(
    mirror: TestMirror, archive: Archive, *, is_removed: bool
) -> None:
    await mirror.manager.full_sync(CRSP, 2023)
    changed: list[dict[str, list[object]]] = [prices(2023), prices(2024)]
    for rows in changed:
        if is_removed:
            del rows["prc"]
        else:
            rows["prc"] = [1, 2, 3, 4]
    archive.put(TABLE, *changed, modified="second")
    with pytest.raises(SchemaError, match="waiting"):
        await mirror.manager.incremental_sync(CRSP)
    before = mirror.rows()

    [drift] = mirror.ledger.drifts
    mirror.ledger.accepted.add(drift.drift_id)
    outcome = await mirror.manager.incremental_sync(CRSP)

    assert [entry.year for entry in outcome.copied] == [2023, 2024]
    registered = await mirror.registry.get_schema("crsp")
    assert registered is not None
    assert registered.version == 2
    assert registered.columns.get("prc") == (None if is_removed else "int64")
    assert mirror.rows().select("permno", "date").equals(before.select("permno", "date"))
    assert list(registered.columns) == mirror.rows().columns
    assert await mirror.verifier.verify_integrity(CRSP) == []


@pytest.mark.covers("S5-23", "S5-100")
async def test_a_retyped_column_refuses_the_sync(mirror: TestMirror, archive: Archive) -> None:
    await mirror.manager.full_sync(CRSP, 2023)
    rows = prices(2024) | {"prc": ["10", "11", "12", "13"]}
    archive.put(TABLE, rows, modified="second")
    with pytest.raises(SchemaError, match="prc was double and is string"):
        await mirror.manager.full_sync(CRSP, 2023)
    assert mirror.rows()["prc"].max() == 13


async def test_every_version_of_a_schema_is_kept(mirror: TestMirror, archive: Archive) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    archive.put(TABLE, with_volume(2024), modified="second")
    await mirror.manager.full_sync(CRSP, 2024)
    assert mirror.files("schemas/**/*.json") == [
        "schemas/crsp.json",
        "schemas/crsp/v1.json",
        "schemas/crsp/v2.json",
    ]


@pytest.mark.covers("S5-24", "S5-101")
async def test_a_manifest_survives_its_own_json(mirror: TestMirror) -> None:
    manifest = (await mirror.manager.full_sync(CRSP, 2023)).manifest
    assert SyncManifest.from_json(manifest.to_json()) == manifest
    assert SyncManifest.from_json((mirror.root / "manifests/crsp.json").read_bytes()) == manifest


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"dataset": "crsp", "extra": 1}'])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        SyncManifest.from_json(text)


@pytest.mark.covers("S5-24", "S5-102")
async def test_a_manifest_is_checked_against_the_registry(mirror: TestMirror) -> None:
    manifest = (await mirror.manager.full_sync(CRSP, 2023)).manifest
    columns = {"permno": "int64", "date": "date32[day]", "prc": "double"}
    manifest.check_against(DatasetSchema(dataset="crsp", columns=columns))
    for wrong in (
        DatasetSchema(dataset="compustat", columns=columns),
        DatasetSchema(dataset="crsp", columns=columns | {"prc": "string"}),
        DatasetSchema(dataset="crsp", columns=columns | {"vol": "double"}),
        DatasetSchema(dataset="crsp", columns={"permno": "int64"}),
    ):
        with pytest.raises(ManifestError):
            manifest.check_against(wrong)
