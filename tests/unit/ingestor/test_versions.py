from hypothesis import given
from hypothesis import strategies as st

from ingestor.domain.versions import InMemory, external_id_of
from tests.unit.ingestor.bronze_factories import stored


def test_a_path_is_its_own_external_id() -> None:
    assert external_id_of("Data/2024/Q1/é.xml") == "Data/2024/Q1/é.xml"
    assert external_id_of("x" * 512) == "x" * 512


def test_a_very_long_path_is_abbreviated_and_stays_unique() -> None:
    one, two = external_id_of("x" * 600 + "1"), external_id_of("x" * 600 + "2")
    assert len(one) == len(two) == 512
    assert one.startswith("x" * 400)
    assert one != two


@given(st.text(min_size=1, max_size=2048))
def test_any_path_fits(path: str) -> None:
    assert 1 <= len(external_id_of(path)) <= 512
    assert external_id_of(path) == external_id_of(path)


async def test_a_document_at_hand_is_returned() -> None:
    assert await InMemory(b"{}").load() == b"{}"


def test_versions_are_counted_per_type_source_and_external_id() -> None:
    assert stored("A", path="p.xml").key == ("transcript", "nas", "p.xml")
