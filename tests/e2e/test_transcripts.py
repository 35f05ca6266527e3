"""All 198 real transcripts on a share, the three services as processes, exact rows out."""

import hashlib
from collections import Counter

import pytest

from tests.e2e.calls import silver_rows
from tests.e2e.hub import Refusal
from tests.e2e.story import NASTY_FOLDER, Story

pytestmark = pytest.mark.timeout(400)

DEAD_LETTERS = "file.changed.ingestor.dead"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- every transcript, once --------------------------------------------------------------------
def test_every_file_is_announced_once(story: Story) -> None:
    assert story.laid.changes == {(path, "added"): 1 for path in story.corpus.transcripts}
    assert len(story.laid.changes) == 198


@pytest.mark.covers("S1-42")
def test_every_file_has_a_bronze_head_with_the_digest_of_its_bytes(story: Story) -> None:
    heads = {
        path: (head["entity_id"], head["version"], head["is_deleted"], head["blob_sha256"])
        for path, head in story.laid.heads.items()
    }
    assert heads == {
        path: (item.call, 1, False, digest(item.data))
        for path, item in story.corpus.transcripts.items()
    }
    assert story.laid.versions == 198


def test_the_bytes_of_every_file_lie_in_the_object_store_under_their_digest(story: Story) -> None:
    files = story.corpus.transcripts.values()
    assert story.laid.blobs == {f"raw/{digest(item.data)}" for item in files}


def test_every_call_has_the_one_row_that_the_manifest_implies(story: Story) -> None:
    expected = silver_rows(story.corpus.transcripts, story.corpus)
    assert story.laid.silver == expected
    assert len(expected) == 167
    assert sum(not row["is_earnings_call"] for row in expected) == 14


def test_every_call_has_as_many_turns_as_its_best_document_has_speaker_blocks(story: Story) -> None:
    expected = {
        row["entity_id"]: row["turn_count"]
        for row in silver_rows(story.corpus.transcripts, story.corpus)
    }
    assert story.laid.turns == expected


@pytest.mark.covers("S2-20", "S2-21", "S2-24", "S2-26")
def test_calls_without_a_corrected_document_cost_a_tenth_and_say_so(story: Story) -> None:
    raw_only = {row["entity_id"] for row in story.laid.silver if row["transcript_type"] == "Raw"}
    assert raw_only
    for call, (score, flags) in story.laid.quality.items():
        costs = {"missing_corrected_source", "quarter_mismatch"} & flags
        expected = {0: "1.00", 1: "0.90" if call in raw_only else "0.95", 2: "0.85"}[len(costs)]
        assert score == expected, (call, flags)
        assert ({"raw_only", "missing_corrected_source"} <= flags) == (call in raw_only)


def test_nothing_is_refused_or_retired_while_all_is_well(story: Story) -> None:
    assert story.laid.dead_letters == set()
    assert story.laid.record_errors == set()
    assert story.laid.retired == []


# --- a scan by command -------------------------------------------------------------------------
@pytest.mark.covers("S1-35")
def test_a_scan_by_command_is_followed_to_its_end(story: Story) -> None:
    assert story.scan.returncode == 0, story.scan.stderr
    assert "completed, 198 looked at" in story.scan.stderr


def test_a_scan_by_command_is_recorded_with_its_reason(story: Story) -> None:
    assert story.command["reason"] == "asked by a test"
    assert story.command["status"] == "completed"
    assert story.command["counts"]["unchanged"] == 198


def test_a_scan_of_an_unknown_source_is_refused_with_the_reason(story: Story) -> None:
    assert story.refused_scan.returncode == 1
    assert story.refused_scan.stderr.strip().endswith(
        "penstock: `scan.requested`: 'nosuch' is not configured; known: transcripts"
    )


# --- files that change -------------------------------------------------------------------------
def test_every_change_is_announced_once(story: Story) -> None:
    plan = story.plan
    expected = story.laid.changes | {
        **{(path, "modified"): 1 for path in (*plan.edited, *plan.touched, *plan.truncated)},
        **{(path, "deleted"): 1 for path in plan.removed},
        **{(path, "added"): 1 for path in plan.nasty},
    }
    assert story.changed.changes == expected


def test_an_edited_file_becomes_a_second_version(story: Story) -> None:
    for path, data in story.plan.edited.items():
        head = story.changed.heads[path]
        assert (head["version"], head["blob_sha256"]) == (2, digest(data))


def test_a_file_that_says_the_same_again_becomes_no_version(story: Story) -> None:
    (path,) = story.plan.touched
    assert story.changed.heads[path]["version"] == 1


def test_a_truncated_file_keeps_its_last_good_version(story: Story) -> None:
    (path,) = story.plan.truncated
    head = story.changed.heads[path]
    assert (head["version"], head["blob_sha256"]) == (
        1,
        digest(story.corpus.transcripts[path].data),
    )


@pytest.mark.covers("S1-43")
def test_a_removed_file_becomes_a_tombstone(story: Story) -> None:
    gone = {path for path, head in story.changed.heads.items() if head["is_deleted"]}
    assert gone == set(story.plan.removed)
    assert story.changed.versions == 198 + len(story.plan.edited) + len(gone)


def test_silver_follows_the_documents_that_are_left(story: Story) -> None:
    plan = story.plan
    left = {
        path: item for path, item in story.corpus.transcripts.items() if path not in plan.removed
    }
    expected = silver_rows(left, story.corpus)
    for row in expected:
        # "As I said before:" adds four words to the call of each edited file.
        edited = {story.corpus.transcripts[path].call for path in plan.edited}
        row["word_count"] += 4 if row["entity_id"] in edited else 0
    assert story.changed.silver == expected


def test_a_call_without_documents_is_retired(story: Story) -> None:
    calls = {story.corpus.transcripts[path].call for path in (*story.plan.sole, *story.plan.both)}
    assert story.changed.retired == sorted(calls)
    assert len(calls) == 3


def test_a_call_that_lost_its_better_document_falls_back_to_the_other(story: Story) -> None:
    call = story.corpus.transcripts[story.plan.better].call
    row = next(row for row in story.changed.silver if row["entity_id"] == call)
    assert (row["transcript_type"], row["version_count"]) == ("Raw", 1)
    assert "raw_only" in story.changed.quality[call][1]


# --- files that cannot be read -----------------------------------------------------------------
def refusal(path: str, error_class: str) -> Refusal:
    return Refusal(topic=DEAD_LETTERS, path=path, category="content_parse", error_class=error_class)


@pytest.mark.covers("S1-29", "S2-28")
def test_every_unreadable_file_is_a_dead_letter_with_its_reason(story: Story) -> None:
    kinds = {
        # Documents of another kind: what made a transcript one is gone.
        "simple.xml": "SchemaDriftError",
        "simple-ns.xml": "SchemaDriftError",
        "empty.xml": "UnparseableError",
    }
    expected = {
        refusal(path, kinds.get(path.rpartition("/")[2], "UnsafeDocumentError"))
        for path in story.plan.nasty
    }
    expected |= {refusal(path, "UnparseableError") for path in story.plan.truncated}
    assert story.changed.dead_letters == expected
    assert len(expected) == 12


def test_every_dead_letter_is_listed_in_the_database_too(story: Story) -> None:
    assert story.changed.record_errors == {*story.plan.truncated, *story.plan.nasty}


def test_the_bytes_of_unreadable_files_are_kept(story: Story) -> None:
    contents = {**story.plan.edited, **story.plan.truncated, **story.plan.nasty}
    added = {f"raw/{digest(data)}" for data in contents.values()}
    assert story.changed.blobs == story.laid.blobs | added


def test_unreadable_files_leave_nothing_in_bronze(story: Story) -> None:
    assert not [path for path in story.restored.heads if path.startswith(NASTY_FOLDER)]


# --- everything put back -----------------------------------------------------------------------
@pytest.mark.covers("S1-43")
def test_restoring_the_files_brings_silver_back_as_it_was(story: Story) -> None:
    assert story.restored.silver == story.laid.silver
    assert story.restored.turns_digest == story.laid.turns_digest
    assert story.restored.quality == story.laid.quality
    assert story.restored.retired == []


def test_a_b_a_makes_three_versions(story: Story) -> None:
    back = (*story.plan.edited, *story.plan.removed)
    versions = {path: head["version"] for path, head in story.restored.heads.items()}
    assert versions == {path: 3 if path in back else 1 for path in story.corpus.transcripts}
    assert story.restored.versions == 198 + 2 * len(back)


def test_no_more_is_refused_and_what_was_refused_stays_listed(story: Story) -> None:
    assert story.restored.dead_letters == story.changed.dead_letters


# --- the processes -----------------------------------------------------------------------------
def test_the_services_are_processes_of_their_own(story: Story) -> None:
    assert sorted(story.pids) == ["ingestor", "scanner", "transformer"]
    assert len(set(story.pids.values())) == 3


def test_every_service_ends_in_good_order_at_sigterm(story: Story) -> None:
    assert story.exit_codes == {"scanner": 0, "ingestor": 0, "transformer": 0}


def test_nothing_but_the_dead_letters_is_logged_as_an_error(story: Story) -> None:
    logged = Counter((line["service"], line["event"]) for line in story.errors)
    assert logged == {
        ("ingestor", "message_dead_lettered"): 12,
        ("scanner", "message_dead_lettered"): 1,  # the scan of an unknown source
    }


def test_no_run_failed(story: Story) -> None:
    assert set(story.restored.runs) <= {"completed", "running", "queued"}
