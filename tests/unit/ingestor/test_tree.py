import gc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.domain.transcripts.tree import XmlLimits, check_expat, read_tree
from ingestor.errors import (
    DocumentTooLargeError,
    OutdatedParserError,
    UnparseableError,
    UnsafeDocumentError,
)
from tests.support.paths import shared_data

LIMITS = XmlLimits()
DECLARES_A_DOCTYPE = (
    "cyclic.xml",
    "dtd.xml",
    "dtd_element.xml",
    "external.xml",
    "external_file.xml",
    "quadratic.xml",
    "xmlbomb.xml",
    "xmlbomb2.xml",
)
HARMLESS = {
    "simple.xml": "root",
    "simple-ns.xml": "root",
    "schema-include.xsd": "schema",
    "xalan_exec.xsl": "stylesheet",
    "xalan_write.xsl": "stylesheet",
}


def nasty(name: str) -> bytes:
    return shared_data("nasty", "defusedxml", name).read_bytes()


@pytest.mark.covers("S1-42")
@pytest.mark.parametrize("name", DECLARES_A_DOCTYPE)
def test_a_document_with_a_doctype_is_refused_before_any_entity_is_defined(name: str) -> None:
    with pytest.raises(UnsafeDocumentError, match="DOCTYPE"):
        read_tree(nasty(name), LIMITS)


@pytest.mark.parametrize(("name", "root"), HARMLESS.items())
def test_other_documents_are_data_and_nothing_in_them_is_executed(name: str, root: str) -> None:
    assert read_tree(nasty(name), LIMITS).name == root


def test_every_nasty_file_is_accounted_for() -> None:
    folder: Path = shared_data("nasty", "defusedxml")
    assert {path.name for path in folder.iterdir()} == {"LICENSE", *DECLARES_A_DOCTYPE, *HARMLESS}


def test_two_hundred_thousand_levels_are_refused() -> None:
    data = b"<a>" * 200_000 + b"</a>" * 200_000
    with pytest.raises(UnsafeDocumentError, match="deeper than 64"):
        read_tree(data, LIMITS)


def test_the_deepest_allowed_level_is_read() -> None:
    assert read_tree(b"<a>" * 64 + b"x" + b"</a>" * 64, LIMITS).text == "x"


def test_one_level_more_is_refused() -> None:
    with pytest.raises(UnsafeDocumentError):
        read_tree(b"<a>" * 65 + b"</a>" * 65, LIMITS)


def test_a_flood_of_elements_is_refused() -> None:
    with pytest.raises(UnsafeDocumentError, match="more than 10 elements and attributes"):
        read_tree(b"<r>" + b"<a/>" * 10 + b"</r>", XmlLimits(max_nodes=10))


def test_attributes_count_as_nodes() -> None:
    with pytest.raises(UnsafeDocumentError):
        read_tree(b'<r a="1" b="2" c="3"/>', XmlLimits(max_nodes=3))


def test_a_document_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    assert read_tree(b"<r>12</r>", XmlLimits(max_bytes=9)).text == "12"
    with pytest.raises(DocumentTooLargeError, match="9 bytes, the limit is 8"):
        read_tree(b"<r>12</r>", XmlLimits(max_bytes=8))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"<r><a></r>",
        b"<r>cut o",
        b"<r>\x00</r>",
        b"<r>&#1;</r>",
        b"<r>&nbsp;</r>",
        b"<r>\xff\xfe</r>",
        b"<r/><r/>",
        b"<x:r/>",
        b"not xml at all",
        b'{"json": true}',
        b'<?xml version="1.0" encoding="no-such-encoding"?><r/>',
        b'<?xml version="1.0" encoding="shift_jis"?><r>\x83\x41</r>',
    ],
)
def test_what_is_not_well_formed_is_refused(data: bytes) -> None:
    with pytest.raises(UnparseableError):
        read_tree(data, LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        "<r>Zürich … 5 €</r>".encode(),
        b"\xef\xbb\xbf" + "<r>Zürich … 5 €</r>".encode(),
        '<?xml version="1.0" encoding="UTF-16"?><r>Zürich … 5 €</r>'.encode("utf-16"),
        '<?xml version="1.0" encoding="windows-1252"?><r>Zürich … 5 €</r>'.encode("cp1252"),
        b"<r>Z&#252;rich &#x2026; 5 &#8364;</r>",
        b"<r><![CDATA[Z\xc3\xbcrich]]> \xe2\x80\xa6 5 &#8364;</r>",
    ],
)
def test_the_usual_encodings_give_the_same_text(data: bytes) -> None:
    assert read_tree(data, LIMITS).text == "Zürich … 5 €"


def test_a_namespace_makes_no_difference_to_a_name() -> None:
    root = read_tree(b'<x:r xmlns:x="urn:x" x:a="1" b="2"><x:c/></x:r>', LIMITS)
    assert (root.name, root.attributes) == ("r", {"a": "1", "b": "2"})
    assert [element.name for element in root.elements] == ["c"]


def test_text_and_elements_keep_their_order() -> None:
    root = read_tree(b"<p>We <b>grew <i>by</i></b> ten<br/> percent<!-- no --></p>", LIMITS)
    assert root.text == "We grew by ten percent"


def test_descendants_are_the_outermost_of_that_name() -> None:
    root = read_tree(b"<r><p>a<p>b</p></p><x><p>c</p></x></r>", LIMITS)
    assert [element.text for element in root.descendants("p")] == ["ab", "c"]


def test_an_old_expat_is_refused_at_start() -> None:
    check_expat((2, 4, 1))
    check_expat()
    with pytest.raises(OutdatedParserError, match=r"expat 2\.4\.0 is installed, 2\.4\.1"):
        check_expat((2, 4, 0))


@given(st.binary(max_size=300))
def test_any_bytes_give_a_tree_or_a_refusal(data: bytes) -> None:
    try:
        read_tree(data, LIMITS)
    except UnparseableError:
        return


@given(st.text(alphabet="<>/ab=\"'& ;!?[]-\n#x1", max_size=120))
def test_any_markup_gives_a_tree_or_a_refusal(text: str) -> None:
    try:
        read_tree(text.encode(), LIMITS)
    except UnparseableError:
        return


def test_a_document_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            read_tree(b"<root><p>text</p></root>", LIMITS)
        assert gc.collect() < 100
    finally:
        gc.enable()
