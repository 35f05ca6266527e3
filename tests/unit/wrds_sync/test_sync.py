from pathlib import Path

import pytest

from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, open_mirror


@pytest.fixture
def archive() -> Archive:
    archive = Archive()
    archive.put("crsp.dsf", prices(2022), prices(2023), prices(2024), modified="a")
    return archive


@pytest.mark.covers("S5-15", "S5-26", "S5-94")
async def test_a_full_sync_makes_a_file_per_year(tmp_path: Path, archive: Archive) -> None:
    mirror = open_mirror(tmp_path, archive)
    outcome = await mirror.manager.full_sync(CRSP, 2023)
    assert mirror.files() == ["wrds/crsp/daily/2023.parquet", "wrds/crsp/daily/2024.parquet"]
    assert outcome.manifest.rows == 8
    assert len(mirror.rows()) == 8
