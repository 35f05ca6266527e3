import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.domain.transcripts.filenames import FileFacts, read_path


def test_a_path_of_the_original_layout_gives_every_fact() -> None:
    path = (
        "Data/2024/Q1/Canadian_Banks/RY-CA_Royal_Bank_of_Canada/RY-CA_Q1_2024_Corrected_12345_7.xml"
    )
    assert read_path(path) == FileFacts(
        path=path,
        name="RY-CA_Q1_2024_Corrected_12345_7.xml",
        ticker="RY-CA",
        quarter=1,
        year=2024,
        type="Corrected",
        event_id="12345",
        version_id="7",
        institution_type="Canadian_Banks",
        company_folder="RY-CA_Royal_Bank_of_Canada",
    )


def test_a_name_without_a_quarter_is_read_too() -> None:
    facts = read_path("InvalidTitle/AXP-US_Raw_4374910_3749101.xml")
    assert (facts.ticker, facts.type, facts.event_id, facts.version_id) == (
        "AXP-US",
        "Raw",
        "4374910",
        "3749101",
    )
    assert (facts.quarter, facts.year, facts.institution_type) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "ticker", "kind"),
    [
        ("AGF.B-CA_Q4_2023_Raw_1_2.xml", "AGF.B-CA", "Raw"),
        ("SWDBY_Q1_2024_nearrealtime_1_2.XML", "SWDBY", "NearRealTime"),
        ("A_B-US_q2_2024_CORRECTED_1_2.xml", "A_B-US", "Corrected"),
    ],
)
def test_odd_tickers_and_cases_are_read(name: str, ticker: str, kind: str) -> None:
    facts = read_path(name)
    assert (facts.ticker, facts.type) == (ticker, kind)


def test_every_type_and_version_of_an_event_is_one_entity() -> None:
    names = ["RY-CA_Q1_2024_Raw_12345_1.xml", "RY-CA_Q1_2024_Corrected_12345_2.xml"]
    assert {read_path(f"a/{name}").entity_id for name in names} == {"RY-CA/12345"}


@pytest.mark.parametrize(
    "path",
    ["notes.xml", "Data/2024/Q1/x/y/RY-CA_Q1_2024_Draft_1_2.xml", "a_b_c.xml", "_Raw_1_2.xml"],
)
def test_a_name_outside_the_scheme_is_an_entity_known_by_its_path(path: str) -> None:
    facts = read_path(path)
    assert facts.event_id is None
    assert facts.entity_id.startswith("file/")
    assert facts.entity_id == read_path(path).entity_id
    assert facts.entity_id != read_path(f"other/{path}").entity_id


def test_the_folders_say_the_quarter_where_the_name_does_not() -> None:
    facts = read_path("Data/2024/Q3/US_Banks/C-US_Citi/call.xml")
    assert (facts.quarter, facts.year, facts.institution_type) == (3, 2024, "US_Banks")


def test_the_name_wins_over_the_folders() -> None:
    facts = read_path("Data/2024/Q3/US_Banks/C-US_Citi/C-US_Q2_2023_Raw_1_2.xml")
    assert (facts.quarter, facts.year) == (2, 2023)


@given(st.text(max_size=2048))
def test_any_path_has_a_bounded_stable_entity(path: str) -> None:
    entity_id = read_path(path).entity_id
    assert 0 < len(entity_id) <= 512
    assert entity_id == read_path(path).entity_id


def test_a_name_longer_than_any_file_system_allows_does_not_become_an_identifier() -> None:
    assert read_path(f"{'A' * 2000}_Raw_1_2.xml").entity_id.startswith("file/")
