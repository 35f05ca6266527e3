import pytest

from scanner.domain.institutions import InstitutionDirectory, MonitoredInstitution

AXP = MonitoredInstitution(
    "AXP-US", "American Express Company", "Financial", "AXP-US_American_Express"
)
AGF = MonitoredInstitution("AGF.B-CA", "AGF Management", "Financial", "AGF_B-CA_AGF_Management")
DIRECTORY = InstitutionDirectory([AXP, AGF])


@pytest.mark.covers("S1-08", "C-07")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Data/2020/Q4/Financial/AXP-US_American_Express/x.xml", AXP),
        ("Data/2020/Q4/Financial/axp-us_american_express/x.xml", AXP),
        ("InvalidTitle/AXP-US_Raw_4374910_3749101.xml", AXP),
        ("Data/2020/Q4/Financial/AGF_B-CA_AGF_Management/AGF.B-CA_Q4_2020_Raw_1_1.xml", AGF),
        ("Data/2020/Q4/Financial/Unknown_Company/ZZZ-US_Q4_2020_Raw_1_1.xml", None),
        ("x.xml", None),
    ],
)
def test_an_institution_is_found_by_folder_then_by_ticker(
    path: str, expected: MonitoredInstitution | None
) -> None:
    assert DIRECTORY.find(path) == expected


def test_the_innermost_folder_wins() -> None:
    assert DIRECTORY.find("AGF_B-CA_AGF_Management/AXP-US_American_Express/x.xml") == AXP
