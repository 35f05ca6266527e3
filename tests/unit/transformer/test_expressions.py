import contextlib
import re
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import PROJECT
from transformer.domain.expressions import (
    AGGREGATES,
    KEYWORDS,
    SCALAR_FUNCTIONS,
    TYPE_NAMES,
    compile_rollup,
    compile_row_rule,
)
from transformer.errors import RuleError

SCHEMA: dict[str, pl.DataType] = {
    "name": pl.String(),
    "size": pl.Int64(),
    "tags": pl.List(pl.String()),
    "day": pl.Date(),
}


def refusal(rule: str, result: pl.DataType | None = None) -> str:
    with pytest.raises(RuleError) as caught:
        compile_row_rule(rule, SCHEMA, result or pl.String(), place="fields.x.rule")
    return caught.value.message


def evaluate(rule: str, result: pl.DataType, **values: Any) -> Any:
    frame = pl.DataFrame({name: [values.get(name)] for name in SCHEMA}, schema=SCHEMA)
    expression = compile_row_rule(rule, SCHEMA, result, place="x")
    return frame.with_columns(expression.alias("result"))["result"].item()


@pytest.mark.parametrize(
    ("rule", "result", "expected"),
    [
        ("COALESCE(name, 'nobody')", pl.String(), "Ann Lee"),
        ("NULLIF(TRIM(UPPER(name)), '')", pl.String(), "ANN LEE"),
        ("SPLIT_PART(name, ' ', 2)", pl.String(), "Lee"),
        ("SUBSTR(name, STRPOS(name, ' ') + 1)", pl.String(), "Lee"),
        ("CASE WHEN size > 2 THEN 'big' ELSE 'small' END", pl.String(), "big"),
        ("TRY_CAST(name AS BIGINT)", pl.Int32(), None),
        ("LENGTH(name)", pl.Int32(), 7),
        ("size * 2 - 1", pl.Int32(), 5),
        ("size = 3 AND NOT name LIKE 'B%'", pl.Boolean(), True),
        ("REGEXP_LIKE(name, '^ann', 'i')", pl.Boolean(), True),
        ("name IN ('Ann Lee', 'Bob')", pl.Boolean(), True),
        ("ARRAY_CONTAINS(tags, 'b')", pl.Boolean(), True),
        ("DATE_PART('year', day)", pl.Int32(), None),
        ("SQUASH(name)", pl.String(), "annlee"),
        ("SQUASH(' .. ')", pl.String(), None),
        ("COALESCE(SQUASH(NULL || name), 'none')", pl.String(), "none"),
        ("SQUASH(TRIM(UPPER('Jos\u00e9 O''Neil (Jr)'))) || '!'", pl.String(), "joseoneiljr!"),
        ("REGEXP_REPLACE(name, '[a-z ]+', '', 'g')", pl.String(), "AL"),
        ("it_s_null", pl.String(), None),
        ("'it''s'", pl.String(), "it's"),
    ],
)
def test_rules_are_sql(rule: str, result: pl.DataType, expected: object) -> None:
    rule = rule.replace("it_s_null", "NULL")
    assert evaluate(rule, result, name="Ann Lee", size=3, tags=["a", "b"]) == expected


@pytest.mark.parametrize(
    "rule",
    ["NOW()", "now() > day", "CURRENT_DATE", "current_timestamp", "RANDOM()", "UUID()", "today()"],
)
def test_clock_and_chance_are_refused(rule: str) -> None:
    message = refusal(rule)
    assert message.startswith("fields.x.rule: ")
    assert "the same result on every replay" in message


@pytest.mark.parametrize("rule", ["MAX(size)", "size - SUM(size)", "COUNT(*)", "size + COUNT(*)"])
def test_a_rule_over_one_record_does_not_look_at_others(rule: str) -> None:
    assert "only `rollups` may do that" in refusal(rule, pl.Int32())


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ("titel", "`titel` is no column here; known: day, name, size, tags"),
        ("ROW_NUMBER() OVER (ORDER BY size)", "`ROW_NUMBER` is no function of rules"),
        ("(SELECT name)", "`SELECT` is no column here"),
        ("UNNEST(tags)", "`UNNEST` is no function of rules"),
        ("CAST(name AS INTEGER)", "`CAST` is no function of rules"),
        ("name -- the name", "comments belong into YAML"),
        ("name /* the name */", "comments belong into YAML"),
        ("name; name", "`;` at character 5 has no meaning"),
        ('"name"', '`"` at character 1 has no meaning'),
        ("LOWER(name", "fields.x.rule: "),
        ("LOWER(name, name, name)", "fields.x.rule: "),
        ("", "fields.x.rule: "),
    ],
)
def test_a_refusal_says_which_word_is_wrong(rule: str, part: str) -> None:
    assert part in refusal(rule)


@pytest.mark.parametrize(
    ("rule", "result", "part"),
    [
        ("size", pl.String(), "gives Int64, not String"),
        ("name", pl.Date(), "gives String, not Date"),
        ("size / 2", pl.Int32(), "gives Float64, not Int32"),
        ("name", pl.Boolean(), "gives String, not Boolean"),
    ],
)
def test_a_rule_must_give_the_type_of_its_column(rule: str, result: pl.DataType, part: str) -> None:
    assert part in refusal(rule, result)


def test_a_number_too_large_for_its_column_becomes_null() -> None:
    assert evaluate("size", pl.Int32(), size=2**40) is None


def test_a_rollup_aggregates() -> None:
    expression = compile_rollup(
        "SUM(CASE WHEN name = 'a' THEN size ELSE 0 END)", SCHEMA, pl.Int32(), place="x"
    )
    frame = pl.DataFrame({"name": ["a", "b", "a"], "size": [1, 2, 4]})
    assert frame.select(expression).item() == 5


def test_a_rollup_without_an_aggregate_is_refused() -> None:
    with pytest.raises(RuleError, match="a rollup must aggregate"):
        compile_rollup("size", SCHEMA, pl.Int32(), place="rollups.x.rule")


WORDS = [*SCHEMA, *sorted(SCALAR_FUNCTIONS | AGGREGATES | KEYWORDS | TYPE_NAMES)]
SIGNS = ["(", ")", ",", "+", "-", "*", "/", "%", "=", "<>", "~", "~*", "||", "'x'", "'['", "0", "7"]


@settings(deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS + SIGNS), max_size=8).map(" ".join))
def test_any_text_is_a_rule_or_a_rule_error(text: str) -> None:
    with contextlib.suppress(RuleError):
        compile_row_rule(text, SCHEMA, pl.String(), place="x")


def test_the_readme_lists_the_words_of_the_language() -> None:
    readme = (PROJECT / "services" / "transformer" / "README.md").read_text("utf-8")
    words = set(re.findall(r"[A-Z_]{2,}", readme.partition("## Writing rules")[2]))
    assert words >= SCALAR_FUNCTIONS | AGGREGATES | TYPE_NAMES


@pytest.mark.parametrize("function", sorted(SCALAR_FUNCTIONS))
def test_every_function_of_the_language_exists(function: str) -> None:
    calls = {
        "ABS": "ABS(size)",
        "ARRAY_CONTAINS": "ARRAY_CONTAINS(tags, 'x')",
        "ARRAY_LENGTH": "ARRAY_LENGTH(tags)",
        "ARRAY_TO_STRING": "ARRAY_TO_STRING(tags, ' ')",
        "CONCAT": "CONCAT(name, name)",
        "CONCAT_WS": "CONCAT_WS(' ', name, name)",
        "DATE_PART": "DATE_PART('year', day)",
        "ENDS_WITH": "ENDS_WITH(name, 'x')",
        "IF": "IF(size > 1, 'a', 'b')",
        "LEFT": "LEFT(name, 2)",
        "MOD": "MOD(size, 2)",
        "REGEXP_LIKE": "REGEXP_LIKE(name, 'x')",
        "REGEXP_REPLACE": "REGEXP_REPLACE(name, 'x', 'y')",
        "REPLACE": "REPLACE(name, 'a', 'b')",
        "RIGHT": "RIGHT(name, 2)",
        "ROUND": "ROUND(size, 1)",
        "SPLIT_PART": "SPLIT_PART(name, ' ', 1)",
        "STARTS_WITH": "STARTS_WITH(name, 'x')",
        "STRING_TO_ARRAY": "STRING_TO_ARRAY(name, ' ')",
        "STRPOS": "STRPOS(name, 'x')",
        "SUBSTR": "SUBSTR(name, 2)",
        "TRY_CAST": "TRY_CAST(name AS BIGINT)",
    }
    numeric = {"CEIL", "FLOOR", "SIGN"}
    two = {"COALESCE", "GREATEST", "IFNULL", "LEAST", "NULLIF"}
    argument = "size" if function in numeric else "name, name" if function in two else "name"
    call = calls.get(function, f"{function}({argument})")
    compile_row_rule(f"CASE WHEN {call} IS NULL THEN 'a' END", SCHEMA, pl.String(), place="x")
