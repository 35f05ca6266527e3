"""The real transcripts, parsed as the ingestor parses them, against the list that describes
them.
"""

import csv
from collections import Counter
from itertools import groupby
from typing import Any

import pytest

from ingestor.domain.transcripts.filenames import read_path
from ingestor.domain.transcripts.parsing import parse_transcript
from ingestor.domain.transcripts.tree import XmlLimits
from tests.integration.transformer.hub import Hub
from tests.support.paths import shared_data

RANK = ("Corrected", "Raw", "NearRealTime")


def manifest() -> list[dict[str, str]]:
    with shared_data("transcripts", "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def entity_of(row: dict[str, str]) -> str:
    """The ticker and the event id, as the file's name ends."""
    return f"{row['ticker']}/{row['path'].split('_')[-2]}"


def expected(rows: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
    """What the list says of each call's best file."""
    calls = {}
    for entity_id, files in groupby(sorted(rows, key=entity_of), key=entity_of):
        ranked = sorted(files, key=lambda row: RANK.index(row["type"]))
        best = ranked[0]
        calls[entity_id] = {
            "entity_id": entity_id,
            "ticker": best["ticker"],
            "title": best["title"],
            "call_date": best["date"],
            "transcript_type": best["type"],
            "participant_count": int(best["participants"]),
            "section_count": int(best["sections"]),
            "turn_count": int(best["speaker_blocks"]),
            "version_ids": [row["path"] for row in ranked],
        }
    return calls


@pytest.mark.covers("S2-03")
async def test_every_call_of_the_list_is_a_row_as_the_list_describes_it(hub: Hub) -> None:
    rows = manifest()
    for row in rows:
        path = row["path"]
        data = shared_data("transcripts", *path.split("/")).read_bytes()
        document = parse_transcript(data, path=path, limits=XmlLimits())
        await hub.store(read_path(path).entity_id, path, document)
    calls = expected(rows)
    await hub.transform(*calls)

    found = await hub.rows(
        "select entity_id, ticker, title, call_date::text, transcript_type, participant_count, "
        "section_count, turn_count, version_ids from silver.transcripts order by entity_id"
    )
    assert len(found) == 167
    assert {row["entity_id"]: row for row in found} == calls
    # 16 of the 198 files lie in InvalidTitle/; they are 14 calls.
    others = await hub.value("select count(*) from silver.transcripts where not is_earnings_call")
    assert others == 14
    turns = await hub.rows(
        "select entity_id, count(*)::integer as turns from silver.transcript_turns group by 1"
    )
    assert {row["entity_id"]: row["turns"] for row in turns} == {
        entity_id: call["turn_count"] for entity_id, call in calls.items() if call["turn_count"]
    }
    flags = Counter(
        flag
        for row in await hub.rows("select quality_flags from silver.transcripts")
        for flag in row["quality_flags"]
    )
    assert flags["raw_only"] == 6
    assert flags["missing_corrected_source"] == 6
