from penstock.demo.documents import is_readable, read_document

PATH = "Data/2020/Q3/Services/ABC-US_Alphabet_Soup/ABC-US_Q3_2020_Corrected_4386541_3865412.xml"
TEXT = """\
<?xml version="1.0" encoding="UTF-8"?>
<transcript xmlns="http://www.factset.com/callstreet/xmllayout/v0.1" id="7" product="Corrected">
  <meta><title>Q3 2020 Earnings Call</title><date>2020-10-18</date>
    <companies><company>000001-E</company></companies>
    <participants>
      <participant id="1" type="operator">Operator</participant>
      <participant id="2" type="analyst">Unverified Participant</participant>
    </participants></meta>
  <body>
    <section name="MANAGEMENT DISCUSSION SECTION">
      <speaker id="1"><plist><p>Good morning, R&amp;D fans.</p><p></p></plist></speaker></section>
    <section name="Q&amp;A">
      <speaker id="2" type="q"><plist><p>Why?</p></plist></speaker>
      <speaker id="9" type="a"><plist><p>Because of&amp;nbsp;it.</p></plist></speaker></section>
  </body>
</transcript>
"""


def test_a_document_is_counted_by_plain_search() -> None:
    document = read_document(PATH, TEXT.encode())
    assert (document.ticker, document.event, document.version) == ("ABC-US", "4386541", 3865412)
    assert document.call == "ABC-US/4386541"
    assert (document.title, document.date) == ("Q3 2020 Earnings Call", "2020-10-18")
    assert (document.turns, document.questions) == (3, 1)
    assert document.words == 4 + 1 + 3  # the twice escaped space parts two words
    assert document.unnamed_turns == 2  # one by that name, one that nobody introduced
    assert document.is_earnings_call
    assert not document.contradicts_path


def test_a_title_of_another_quarter_contradicts_the_path() -> None:
    document = read_document(PATH, TEXT.replace("Q3 2020 E", "Q4 2020 E").encode())
    assert document.contradicts_path


def test_a_file_without_a_quarter_in_its_name_contradicts_nothing() -> None:
    text = TEXT.replace("Q3 2020 Earnings", "Full Year 2020 Earnings").encode()
    document = read_document("InvalidTitle/ABC-US_Raw_1_2.xml", text)
    assert not document.contradicts_path
    assert not document.is_earnings_call
    assert document.kind == "Raw"


def test_a_corrected_document_is_preferred_to_any_raw_one_and_a_newer_to_an_older() -> None:
    def rank(name: str) -> tuple[bool, int]:
        return read_document(f"InvalidTitle/{name}", TEXT.encode()).rank

    assert rank("A_Raw_1_9.xml") < rank("A_Corrected_1_2.xml") < rank("A_Corrected_1_10.xml")


def test_a_whole_file_is_readable_in_each_of_its_wrappings() -> None:
    assert is_readable(TEXT.encode())
    assert is_readable(f"<TranscriptsCollection>{TEXT}</TranscriptsCollection>\n".encode())


def test_half_a_file_and_one_with_entities_are_not_readable() -> None:
    assert not is_readable(TEXT[: len(TEXT) // 2].encode())
    assert not is_readable(b"<!DOCTYPE transcript []>" + TEXT.encode())
