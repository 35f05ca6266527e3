import pytest

from ingestor.domain.parsers import PARSERS
from ingestor.errors import DocumentTooLargeError, UnparseableError

PATH = "RY-CA_Q1_2024_Raw_12345_7.xml"


def test_the_transcript_parser_says_what_and_of_whom() -> None:
    parsed = PARSERS["transcript_xml"](b"<transcript id='9'/>", PATH, 100)
    assert parsed.entity_id == "RY-CA/12345"
    assert parsed.document["transcript_id"] == "9"


def test_its_limit_is_the_sources() -> None:
    with pytest.raises(DocumentTooLargeError):
        PARSERS["transcript_xml"](b"<transcript id='9'/>", PATH, 10)


def test_what_is_no_transcript_is_refused() -> None:
    with pytest.raises(UnparseableError):
        PARSERS["transcript_xml"](b"<html/>", PATH, 100)
