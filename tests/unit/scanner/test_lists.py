import pytest

from scanner.domain.lists import ListFormat, ListFormatError, parse_list

FORM = ListFormat(("Id", "Name"))


def test_rows_lie_between_the_header_and_the_first_blank_line() -> None:
    text = '\ufeffTitle\n\u00a0\nName,Id\n"Ash, Ann" ,1\nBob,2\n\u00a0\nId,Name\nx,y\n'
    assert parse_list(text, FORM).rows == [
        {"Name": "Ash, Ann", "Id": "1"},
        {"Name": "Bob", "Id": "2"},
    ]


def test_a_line_that_is_no_row_is_reported() -> None:
    parsed = parse_list("Id,Name\n1,Ann\nlegal text\n2,Bob\n", FORM)
    assert [row["Id"] for row in parsed.rows] == ["1", "2"]
    assert parsed.damaged == ["line 3 has 1 cells, the header has 2"]


def test_empty_columns_that_a_spreadsheet_adds_are_no_columns_of_the_header() -> None:
    assert parse_list("Id,Name,,\n1,Ann,,\n", FORM).damaged != []
    assert parse_list("Id,Name\n,\n1,Ann\n", FORM).rows == []


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "Id,Name,Id\n"])
def test_without_a_header_there_is_no_list(text: str) -> None:
    with pytest.raises(ListFormatError):
        parse_list(text, FORM)
