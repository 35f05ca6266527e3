import contextlib
import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from chassis.db import Database
from contracts.files import FileChange
from tests.integration.ingestor.ingestion import Ingestion, open_ingestion
from tests.support.addresses import SmbAddress
from tests.support.paths import shared_data
from tests.support.proxy import FaultProxy

ADDED, MODIFIED, DELETED = FileChange.ADDED, FileChange.MODIFIED, FileChange.DELETED
PATH = "Data/2024/Q1/Banks/RY/RY-CA_Q1_2024_Raw_12345_7.xml"


def transcript(words: str) -> bytes:
    return (
        "<transcript><body><speaker id='1'><plist>"
        f"<p>{words}</p></plist></speaker></body></transcript>"
    ).encode()


@pytest.mark.covers("S1-42", "S2-04", "E-08")
async def test_every_real_transcript_becomes_one_version_of_its_call(
    ingestion: Ingestion,
) -> None:
    with shared_data("transcripts", "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["path"]: row for row in csv.DictReader(file)}
    for path in expected:
        ingestion.put(path, shared_data("transcripts", *path.split("/")).read_bytes())
    events = await ingestion.tell(ADDED, *expected)

    found = await ingestion.rows(
        "select external_id, raw_data, blob_key, blob_sha256, size_bytes, version, operation "
        "from bronze.raw_entities"
    )
    assert len(found) == 198
    for path, document, blob_key, blob_sha256, size, version, operation in found:
        turns = sum(len(section["turns"]) for section in document["sections"])
        assert turns == int(expected[path]["speaker_blocks"])
        assert len(document["participants"]) == int(expected[path]["participants"])
        assert (size, version, operation) == (int(expected[path]["bytes"]), 1, "stored")
        assert blob_key == f"raw/{blob_sha256}"
    some = found[17]
    assert await ingestion.blobs.get(some[2]) == (ingestion.folder / some[0]).read_bytes()
    assert await ingestion.rows("select count(*) from bronze.entities") == [(167,)]
    assert sorted(await ingestion.published()) == [("stored", path, 1) for path in sorted(expected)]
    assert await ingestion.dead_letters() == {}

    await ingestion.receive(events)
    assert await ingestion.rows("select count(*) from bronze.raw_entities") == [(198,)]
    assert len(await ingestion.published()) == 198


@pytest.mark.covers("S1-43", "S2-14", "C-04")
async def test_the_life_of_a_file_is_told_in_versions(ingestion: Ingestion) -> None:
    ingestion.put(PATH, transcript("one"))
    await ingestion.tell(ADDED, PATH)
    await ingestion.tell(MODIFIED, PATH)  # touched
    ingestion.put(PATH, transcript("two"))
    await ingestion.tell(MODIFIED, PATH)
    ingestion.put(PATH, transcript("one"))
    await ingestion.tell(MODIFIED, PATH)
    (ingestion.folder / PATH).unlink()
    await ingestion.tell(DELETED, PATH)
    ingestion.put(PATH, transcript("one"))
    await ingestion.tell(ADDED, PATH)
    assert await ingestion.rows(
        "select version, operation, raw_data #>> '{sections,0,turns,0,paragraphs,0}', sequence "
        "from bronze.raw_entities order by version"
    ) == [
        (1, "stored", "one", 1),
        (2, "stored", "two", 3),
        (3, "stored", "one", 4),
        (4, "tombstoned", None, 5),
        (5, "stored", "one", 6),
    ]
    assert await ingestion.published() == [
        ("stored", PATH, 1),
        ("unchanged", PATH, 1),
        ("stored", PATH, 2),
        ("stored", PATH, 3),
        ("tombstoned", PATH, 4),
        ("stored", PATH, 5),
    ]
    assert await ingestion.rows("select entity_id, version, is_deleted from bronze.heads") == [
        ("RY-CA/12345", 5, False)
    ]


@pytest.mark.covers("S2-28", "E-04")
async def test_nasty_files_are_dead_letters_with_their_bytes_kept_and_the_rest_goes_on(
    ingestion: Ingestion,
) -> None:
    nasty = {
        f"nasty/{file.name}.xml": file.read_bytes()
        for file in shared_data("nasty", "defusedxml").iterdir()
    }
    nasty |= {
        "nasty/empty.xml": b"",
        "nasty/deep.xml": b"<a>" * 200_000 + b"</a>" * 200_000,
        "nasty/cut.xml": transcript("cut")[:-9],
        "nasty/nul.xml": transcript("a\x00b"),
    }
    for path, data in {**nasty, "good.xml": transcript("good")}.items():
        ingestion.put(path, data)
    await ingestion.tell(ADDED, *nasty, "good.xml")
    assert await ingestion.dead_letters() == dict.fromkeys(nasty, "content_parse")
    assert await ingestion.published() == [("stored", "good.xml", 1)]
    failures = await ingestion.rows(
        "select external_id, category, message, event_id from meta.record_errors"
    )
    assert len(failures) == len(nasty)
    for path, category, message, event_id in failures:
        digest = hashlib.sha256(nasty[path]).hexdigest()
        assert category == "content_parse"
        assert message.endswith(f"the bytes are kept as raw/{digest}")
        assert event_id.startswith("event-")
        assert await ingestion.blobs.get(f"raw/{digest}") == nasty[path]


async def test_files_are_fetched_over_smb(
    environment: dict[str, str], smb: SmbAddress, database: Database, unique: str
) -> None:
    assert smb.folder is not None
    environment |= {**smb.env, "NAS_BASE_PATH": unique}
    async with open_ingestion(environment, smb.folder / unique, database, kind="smb") as ingestion:
        ingestion.put(PATH, transcript("über SMB"))
        ingestion.put("Data/bad.xml", b"<transcript>")
        await ingestion.tell(ADDED, PATH, "Data/bad.xml", "Data/gone.xml")
        assert await ingestion.published() == [("stored", PATH, 1)]
        assert await ingestion.dead_letters() == {"Data/bad.xml": "content_parse"}
        assert await ingestion.rows(
            "select raw_data #>> '{sections,0,turns,0,paragraphs,0}', source_modified_at "
            "between now() - interval '1 hour' and now() + interval '1 hour' "
            "from bronze.raw_entities"
        ) == [("über SMB", True)]
        assert await ingestion.rows("select external_id, error_class from meta.record_errors") == [
            ("Data/bad.xml", "UnparseableError"),
            ("Data/gone.xml", "VanishedFileError"),
        ]


async def test_naughty_names_are_names_or_are_refused(ingestion: Ingestion) -> None:
    names: list[str] = json.loads(shared_data("nasty", "blns", "blns.json").read_text("utf-8"))
    paths = sorted({f"{name}.xml" for name in names if name and not name.startswith("/")})
    paths.append("nul\0.xml")
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            ingestion.put(path, transcript("hello"))
    await ingestion.tell(ADDED, *paths)
    stored = {path for _, path, _ in await ingestion.published()}
    refused = await ingestion.dead_letters()
    vanished = {
        path
        for (path,) in await ingestion.rows(
            "select external_id from meta.record_errors where error_class = 'VanishedFileError'"
        )
    }
    assert stored | refused.keys() | vanished == set(paths)
    assert set(refused.values()) == {"path_validation"}
    assert len(stored) >= 300
    assert {path for path in paths if ".." in path.split("/")} <= refused.keys()


async def test_an_object_store_that_is_cut_off_delays_and_loses_nothing(
    environment: dict[str, str], tmp_path: Path, database: Database
) -> None:
    host, _, port = environment["S3_ENDPOINT_URL"].removeprefix("http://").partition(":")
    with FaultProxy(host, int(port)) as proxy:
        environment["S3_ENDPOINT_URL"] = f"http://127.0.0.1:{proxy.port}"
        async with open_ingestion(environment, tmp_path, database) as ingestion:
            ingestion.put("a.xml", transcript("one"))
            proxy.refuse()
            event = ingestion.event(ADDED, "a.xml")

            async def wait_then_mend(seconds: float) -> None:
                ingestion.waits.append(seconds)
                assert await ingestion.published() == []
                proxy.restore()

            ingestion.applier._sleep = wait_then_mend
            await ingestion.receive([event])
            assert len(ingestion.waits) == 1
            assert await ingestion.published() == [("stored", "a.xml", 1)]


async def test_a_missing_root_folder_is_an_outage_and_no_file_is_lost(
    ingestion: Ingestion,
) -> None:
    ingestion.put("a.xml", transcript("one"))
    away = ingestion.folder.with_name("away")
    shutil.move(ingestion.folder, away)
    event = ingestion.event(ADDED, "a.xml")

    async def wait_then_mount(seconds: float) -> None:
        ingestion.waits.append(seconds)
        shutil.move(away, ingestion.folder)

    ingestion.applier._sleep = wait_then_mount
    await ingestion.receive([event])
    assert len(ingestion.waits) == 1
    assert await ingestion.published() == [("stored", "a.xml", 1)]


async def test_documents_beyond_the_memory_limit_take_the_way_over_the_disk(
    environment: dict[str, str], tmp_path: Path, database: Database
) -> None:
    environment |= {"INGESTOR_SCRATCH_MEMORY_BYTES": "0", "INGESTOR_MEMORY_BYTES": "1048576"}
    async with open_ingestion(environment, tmp_path, database) as ingestion:
        paths = [f"{number}.xml" for number in range(8)]
        for number, path in enumerate(paths):
            ingestion.put(path, transcript(f"{number} " * 200_000))
        await ingestion.tell(ADDED, *paths)
        found = await ingestion.rows(
            "select external_id, left(raw_data #>> '{sections,0,turns,0,paragraphs,0}', 3), "
            "length(raw_data #>> '{sections,0,turns,0,paragraphs,0}') from bronze.raw_entities "
            "order by external_id"
        )
        assert found == [(path, f"{path[0]} {path[0]}", 399_999) for path in paths]


async def test_effects_dead_letters_and_position_stand_in_one_transaction(
    ingestion: Ingestion,
) -> None:
    ingestion.put("a.xml", transcript("one"))
    ingestion.put("bad.xml", b"<transcript>")
    await ingestion.tell(ADDED, "a.xml", "bad.xml")
    transactions = await ingestion.rows(
        "select xmin::text from bronze.raw_entities union select xmin::text from bronze.heads "
        "union select xmin::text from bronze.entities union select xmin::text from meta.outbox "
        "union select xmin::text from meta.record_errors "
        "union select xmin::text from meta.consumer_positions"
    )
    assert len(transactions) == 1
    assert await ingestion.rows("select next_offset from meta.consumer_positions") == [(2,)]
