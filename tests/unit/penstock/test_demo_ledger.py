from decimal import Decimal

import pytest

from penstock.demo.documents import read_document
from penstock.demo.ledger import Ledger, judge

FOLDER = "Data/2020/Q3/Services/ABC-US_Alphabet_Soup"
RAW = f"{FOLDER}/ABC-US_Q3_2020_Raw_10_1.xml"
CORRECTED = f"{FOLDER}/ABC-US_Q3_2020_Corrected_10_2.xml"
OTHER = "InvalidTitle/XYZ-US_Corrected_20_1.xml"


def transcript(
    *, title: str = "Q3 2020 Earnings Call", turns: int = 2, word: str = "word"
) -> bytes:
    speakers = f'<speaker id="1" type="q"><p>{word}</p></speaker>' * turns
    return (
        f"<transcript><title>{title}</title><date>2020-10-18</date>"
        f'<participant id="1">Somebody</participant>{speakers}</transcript>'
    ).encode()


def test_files_of_one_call_make_one_row_told_by_the_corrected_one() -> None:
    ledger = Ledger(["ABC-US", "XYZ-US"])
    ledger.put(RAW, transcript(turns=3))
    ledger.put(CORRECTED, transcript(turns=2))
    ledger.put(OTHER, transcript(turns=1))
    figures = ledger.figures()
    assert (figures.files, figures.added, figures.versions, figures.blobs) == (3, 3, 3, 3)
    assert (figures.calls, figures.turns, figures.words) == (2, 3, 3)


def test_an_edit_is_a_new_version_and_the_same_bytes_again_are_not() -> None:
    ledger = Ledger(["ABC-US"])
    ledger.put(RAW, transcript())
    ledger.put(RAW, transcript())
    ledger.put(RAW, transcript(word="another"))
    figures = ledger.figures()
    assert (figures.added, figures.modified, figures.versions, figures.blobs) == (1, 2, 2, 2)


def test_a_broken_overwrite_is_refused_and_the_last_good_version_stays() -> None:
    ledger = Ledger(["ABC-US"])
    ledger.put(RAW, transcript(turns=2))
    ledger.put(RAW, transcript(turns=2)[:40])
    figures = ledger.figures()
    assert figures.refused == (RAW,)
    assert (figures.modified, figures.versions, figures.blobs) == (1, 1, 2)
    assert (figures.calls, figures.turns) == (1, 2)


def test_a_removed_file_counts_until_its_deletion_is_released() -> None:
    ledger = Ledger(["ABC-US"])
    ledger.put(RAW, transcript(turns=3))
    ledger.put(CORRECTED, transcript(turns=2))
    ledger.remove(CORRECTED)
    held = ledger.figures()
    assert (held.files, held.held, held.deleted, held.turns) == (2, 1, 0, 2)

    ledger.release(CORRECTED)
    released = ledger.figures()
    assert (released.files, released.held, released.deleted) == (1, 0, 1)
    assert (released.tombstones, released.calls, released.turns) == (1, 1, 3)
    assert released.quality.flags == {"missing_corrected_source": 1, "raw_only": 1}


def test_the_last_document_of_a_call_takes_its_row_along() -> None:
    ledger = Ledger(["ABC-US"])
    ledger.put(RAW, transcript())
    ledger.remove(RAW)
    ledger.release(RAW)
    figures = ledger.figures()
    assert (figures.calls, figures.retired, figures.turns) == (0, 1, 0)


def test_objects_are_named_by_the_digest_of_what_lay_on_the_share() -> None:
    ledger = Ledger([])
    ledger.put(RAW, b"<transcript></transcript>")
    # printf '<transcript></transcript>' | sha256sum
    assert ledger.blob_keys == {
        "raw/061bef61207fd8e9917081f137f90b6c7ff76169f5b1b3a35384e9fa6cdbb035"
    }


@pytest.mark.parametrize(
    ("path", "data", "institutions", "score", "flags"),
    [
        (CORRECTED, transcript(), ["ABC-US"], "1.00", set()),
        (RAW, transcript(), ["ABC-US"], "0.90", {"missing_corrected_source", "raw_only"}),
        (CORRECTED, transcript(), [], "0.90", {"missing_institution_source"}),
        (
            OTHER,
            transcript(title="Half Year 2020"),
            [],
            "0.85",
            {"missing_institution_source", "missing_company", "not_an_earnings_call"},
        ),
        (
            CORRECTED,
            transcript(title="Q4 2020 Earnings Call"),
            ["ABC-US"],
            "0.95",
            {"quarter_mismatch"},
        ),
        (CORRECTED, transcript(turns=0), ["ABC-US"], "1.00", {"no_questions"}),
    ],
)
def test_a_call_is_judged_by_the_rules_of_the_requirements(
    path: str, data: bytes, institutions: list[str], score: str, flags: set[str]
) -> None:
    assert judge([read_document(path, data)], institutions) == (Decimal(score), flags)


def test_documents_that_contradict_each_other_cost_a_call_its_score() -> None:
    group = [
        read_document(RAW, transcript(title="Q3 2020 Earnings Call")),
        read_document(CORRECTED, transcript(title="Q3 2020 earnings call")),
    ]
    assert judge(group, ["ABC-US"]) == (Decimal("1.00"), set())
    group[0] = read_document(RAW, transcript(title="Q3 2020 Results"))
    assert judge(group, ["ABC-US"]) == (Decimal("0.95"), {"title_mismatch"})
