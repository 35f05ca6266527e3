"""Every real file, against what its manifest says of it."""

import csv
from collections.abc import Iterator

import pytest

from ingestor.domain.transcripts.filenames import read_path
from ingestor.domain.transcripts.parsing import parse_transcript
from ingestor.domain.transcripts.tree import XmlLimits
from tests.support.paths import shared_data


def manifest() -> Iterator[dict[str, str]]:
    with shared_data("transcripts", "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


FILES = list(manifest())


@pytest.mark.covers("S1-42")
@pytest.mark.parametrize("expected", FILES, ids=[row["path"] for row in FILES])
def test_a_real_transcript_has_what_the_manifest_says(expected: dict[str, str]) -> None:
    path = expected["path"]
    data = shared_data("transcripts", *path.split("/")).read_bytes()
    result = parse_transcript(data, path=path, limits=XmlLimits())
    turns = [turn for section in result["sections"] for turn in section["turns"]]
    assert len(turns) == int(expected["speaker_blocks"])
    assert len(result["participants"]) == int(expected["participants"])
    assert len(result["sections"]) == int(expected["sections"])
    assert result["title"] == expected["title"]
    assert result["date"] == expected["date"]
    assert result["transcript_type"] == expected["type"]
    assert result["file"]["ticker"] == expected["ticker"]
    assert result["file"]["event_id"]
    assert all(item["name"] for item in result["participants"])
    words = sum(len(text.split()) for turn in turns for text in turn["paragraphs"])
    counted = int(expected["words"])
    # The manifest counts raw tags such as `<inaudible>`, which corrected files have lost.
    assert words == counted or (
        expected["type"] == "Corrected" and 0.99 * counted < words < counted
    )


def test_there_are_198_files_of_167_calls() -> None:
    assert len(FILES) == 198
    assert len({read_path(row["path"]).entity_id for row in FILES}) == 167
