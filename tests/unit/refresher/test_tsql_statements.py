"""Every statement of every case: as the golden files say, and as T-SQL's grammar takes it."""

import re
from functools import cache

import pytest
from sqlfluff.core import FluffConfig, Linter

from refresher.domain import tsql_queries
from tests.unit.refresher.tsql_cases import CASES, GOLDEN, rendered, statements

_NOT_IN_THE_GRAMMAR = {
    "ALTER SCHEMA [dbo] TRANSFER ": "sqlfluff 4.5 knows no ALTER SCHEMA .. TRANSFER",
    "ALTER SCHEMA [penstock_refresh] TRANSFER ": "as above",
}
"""How statements begin that the grammar of the test lacks, and not the server's."""

_QUERIES = [
    sql
    for name, value in vars(tsql_queries).items()
    if name.isupper()
    and not name.startswith("_")
    and name not in {"OWN_SCHEMA", "MARKER_NAME", "PROBES"}
    for sql in ([value] if isinstance(value, str) else value)
] + list(tsql_queries.PROBES.values())
_WRITTEN = sorted({item.sql for name in CASES for _, item in statements(name)} | set(_QUERIES))
_STATEMENTS = list({re.sub(r"\[[^\]]*\]", "[x]", sql): sql for sql in _WRITTEN}.values())
"""One of each form: parsing takes its time, and other names do not change the grammar."""


@cache
def _linter() -> Linter:
    return Linter(config=FluffConfig(overrides={"dialect": "tsql"}))


def _is_grammatical(sql: str) -> bool:
    # The driver sends `@P1` where we write `?`.
    parsed = _linter().parse_string(sql.replace("?", "@P1") + ";\n")
    tree = parsed.tree
    return tree is not None and not any(tree.recursive_crawl("unparsable"))


def _is_listed(sql: str) -> bool:
    return sql.startswith(tuple(_NOT_IN_THE_GRAMMAR))


@pytest.mark.covers("S4-03", "S4-04", "S4-05")
@pytest.mark.parametrize("name", CASES)
def test_the_statements_are_those_of_the_golden_file(name: str) -> None:
    assert rendered(name) == (GOLDEN / f"{name}.sql").read_text("utf-8"), (
        "if the change is meant: python -m tests.unit.refresher.tsql_cases"
    )


@pytest.mark.parametrize("sql", [sql for sql in _STATEMENTS if not _is_listed(sql)])
def test_the_grammar_of_t_sql_takes_the_statement(sql: str) -> None:
    assert _is_grammatical(sql)


@pytest.mark.parametrize("beginning", _NOT_IN_THE_GRAMMAR)
def test_a_listed_exception_is_used_and_still_needed(beginning: str) -> None:
    found = [sql for sql in _WRITTEN if sql.startswith(beginning)]
    assert found
    assert not any(_is_grammatical(sql) for sql in found)


@pytest.mark.parametrize(
    "broken",
    [
        "ALTER TABLE [a] SWITCH PARTITION TO [b]",
        "DELETE t FORM [dbo].[a] AS t",
        "INSERT INTO [a] ([x]) SELECT [x] FROM",
        "CREATE TABLE [a] ([x] int NULL",
    ],
)
def test_the_grammar_refuses_what_is_broken(broken: str) -> None:
    assert not _is_grammatical(broken)


def test_no_value_stands_in_the_text_of_a_statement() -> None:
    for name in CASES:
        for _, item in statements(name):
            assert item.sql.count("?") == len(item.parameters)
            for value in item.parameters:
                assert value.text not in item.sql
