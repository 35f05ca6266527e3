from typing import Any

import pytest

from ingestor.domain.transcripts.parsing import parse_transcript
from ingestor.domain.transcripts.tree import XmlLimits
from ingestor.errors import UnparseableError
from tests.support.paths import shared_data

PATH = "Data/2024/Q1/Canadian_Banks/RY-CA_Royal_Bank/RY-CA_Q1_2024_Corrected_12345_7.xml"
PLAIN = """
<transcript id="99" product="CorrectedTranscript">
  <meta>
    <title>Q1 2024 Earnings Call</title>
    <date>2024-02-28</date>
    <companies><company>000001-E</company><company> 000002-E </company><company/></companies>
    <participants>
      <participant id="1" type="operator">Operator</participant>
      <participant id="2" type="corprep" affiliation="Royal Bank" affiliation_entity="000001-E"
        title="Chief Financial Officer" entity="000003-E" rank="4">Ann Example</participant>
    </participants>
  </meta>
  <body>
    <section name="MANAGEMENT DISCUSSION SECTION">
      <speaker id="1"><plist><p>Good morning.</p><p/><p>  Please
         begin.  </p></plist></speaker>
    </section>
    <section name="Q&amp;A">
      <speaker id="77" type="Q"><plist><p>Why?</p></plist></speaker>
      <speaker id="2" type="a"><plist><p>Because.</p></plist></speaker>
      <speaker id="2" type="a"/>
    </section>
  </body>
</transcript>
"""


def parse(text: str, path: str = PATH) -> dict[str, Any]:
    return parse_transcript(text.encode(), path=path, limits=XmlLimits())


def spoken(result: dict[str, Any]) -> list[tuple[Any, Any, list[str]]]:
    return [
        (turn["speaker_id"], turn["speaker_type"], turn["paragraphs"])
        for section in result["sections"]
        for turn in section["turns"]
    ]


@pytest.mark.covers("S1-42")
def test_a_transcript_becomes_structured_json() -> None:
    result = parse(PLAIN)
    assert {key: result[key] for key in ("transcript_id", "product", "transcript_type")} == {
        "transcript_id": "99",
        "product": "CorrectedTranscript",
        "transcript_type": "Corrected",
    }
    assert (result["title"], result["quarter"], result["year"]) == (
        "Q1 2024 Earnings Call",
        1,
        2024,
    )
    assert result["date"] == "2024-02-28"
    assert result["companies"] == ["000001-E", "000002-E"]
    assert result["participants"] == [
        {
            "id": "1",
            "type": "operator",
            "name": "Operator",
            "affiliation": None,
            "affiliation_entity": None,
            "title": None,
            "entity": None,
        },
        {
            "id": "2",
            "type": "corprep",
            "name": "Ann Example",
            "affiliation": "Royal Bank",
            "affiliation_entity": "000001-E",
            "title": "Chief Financial Officer",
            "entity": "000003-E",
            "rank": "4",
        },
    ]
    assert [section["name"] for section in result["sections"]] == [
        "MANAGEMENT DISCUSSION SECTION",
        "Q&A",
    ]
    assert spoken(result) == [
        ("1", None, ["Good morning.", "Please begin."]),
        ("77", "q", ["Why?"]),
        ("2", "a", ["Because."]),
        ("2", "a", []),
    ]
    assert result["file"]["event_id"] == "12345"
    assert result["file"]["path"] == PATH


def test_a_namespace_and_a_collection_make_no_difference() -> None:
    plain = parse(PLAIN)
    space = 'xmlns="http://www.factset.com/callstreet/xmllayout/v0.1" '
    with_namespace = PLAIN.replace("<transcript ", f"<transcript {space}")
    assert parse(with_namespace) == plain
    assert parse(f"<TranscriptsCollection>{with_namespace}</TranscriptsCollection>") == plain


def test_participants_inside_participants_and_names_as_attributes_are_read() -> None:
    people = (
        '<participants><participants id="1" type="corporate" name="Ann &amp;amp; Co"/>'
        '<participants id="2"/><participants id="3" name="No"> Real </participants></participants>'
    )
    result = parse(f"<transcript><meta>{people}</meta><body/></transcript>")
    assert [(item["id"], item["type"], item["name"]) for item in result["participants"]] == [
        ("1", "corporate", "Ann & Co"),
        ("2", None, None),
        ("3", None, "Real"),
    ]


def test_paragraphs_without_a_list_and_text_without_a_paragraph_are_kept() -> None:
    result = parse(
        "<transcript><body><speaker id='1'><p>no list</p></speaker>"
        "<speaker id='2'> bare text </speaker><section name='S'><speaker id='3'>"
        "<plist><p>with <i>mixed</i> content</p></plist></speaker></section>"
        "<speaker id='4'><p>after</p></speaker></body></transcript>"
    )
    assert [(section["name"], len(section["turns"])) for section in result["sections"]] == [
        (None, 2),
        ("S", 1),
        (None, 1),
    ]
    assert spoken(result) == [
        ("1", None, ["no list"]),
        ("2", None, ["bare text"]),
        ("3", None, ["with mixed content"]),
        ("4", None, ["after"]),
    ]


def test_unknown_attributes_are_kept_apart() -> None:
    result = parse(
        '<transcript id="1" lang="en"><body><section name="S" part="2">'
        '<speaker id="1" role="host"><p>x</p></speaker></section></body></transcript>'
    )
    assert result["attributes"] == {"lang": "en"}
    assert result["sections"][0]["attributes"] == {"part": "2"}
    assert result["sections"][0]["turns"][0]["attributes"] == {"role": "host"}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Q1 2024 Earnings Call", (1, 2024)),
        ("q3 2021 earnings call", (3, 2021)),
        ("Royal Bank, Q1 2027 Earnings Call, Jul 30, 2026", (1, 2027)),
        ("Half Year 2020 Earnings Call", (None, 2020)),
        ("Annual General Meeting", (None, None)),
        ("Outlook 2024 to 2026", (None, None)),
        ("Q5 20XX", (None, None)),
        ("", (None, None)),
    ],
)
def test_quarter_and_year_are_the_titles(
    title: str, expected: tuple[int | None, int | None]
) -> None:
    result = parse(f"<transcript><meta><title>{title}</title></meta></transcript>")
    assert (result["quarter"], result["year"]) == expected


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        ("CorrectedTranscript", "Corrected"),
        ("corrected", "Corrected"),
        ("RawTranscript", "Raw"),
        ("x", None),
    ],
)
def test_the_product_says_the_type_where_the_name_does_not(
    product: str, expected: str | None
) -> None:
    assert parse(f'<transcript product="{product}"/>', "odd.xml")["transcript_type"] == expected


def test_a_transcript_with_nothing_in_it_is_still_one() -> None:
    result = parse("<transcript/>")
    assert (result["title"], result["date"], result["participants"], result["sections"]) == (
        None,
        None,
        [],
        [],
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<root/>", 0),
        ("<TranscriptsCollection/>", 0),
        ("<TranscriptsCollection><transcript/><transcript/></TranscriptsCollection>", 2),
    ],
)
def test_a_file_is_exactly_one_transcript(text: str, count: int) -> None:
    with pytest.raises(UnparseableError, match=f"holds {count} `transcript` elements"):
        parse(text)


@pytest.mark.parametrize("name", ["simple.xml", "simple-ns.xml", "schema-include.xsd"])
def test_well_formed_xml_of_another_kind_is_no_transcript(name: str) -> None:
    data = shared_data("nasty", "defusedxml", name).read_bytes()
    with pytest.raises(UnparseableError):
        parse_transcript(data, path=PATH, limits=XmlLimits())
