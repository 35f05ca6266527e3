"""The language of rules: polars' SQL expressions, cut down to what is safe to run unseen.

A rule sees one record and nothing else. Only the words below are allowed: each gives the same
result on every replay (no clock, no chance), looks at no other record (no windows, no subqueries),
and gives null for a strange value instead of failing. docs/decisions/0014 says why there is no
language of our own.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

import polars as pl
from polars.exceptions import PolarsError

from transformer.errors import RuleError

# Word lists read better as text than with a line per word, hence the `noqa`.
SCALAR_FUNCTIONS = frozenset(
    "ABS ARRAY_CONTAINS ARRAY_LENGTH ARRAY_TO_STRING CEIL CHAR_LENGTH COALESCE CONCAT CONCAT_WS "  # noqa: SIM905
    "DATE_PART ENDS_WITH FLOOR GREATEST IF IFNULL INITCAP LEAST LEFT LENGTH LOWER LTRIM MOD NULLIF "
    "REGEXP_LIKE REGEXP_REPLACE REPLACE REVERSE RIGHT ROUND RTRIM SIGN SPLIT_PART SQUASH "
    "STARTS_WITH STRING_TO_ARRAY STRPOS SUBSTR TRIM TRY_CAST UPPER".split()
)
"""Functions of one record; `CAST` is missing because it fails where `TRY_CAST` gives null."""

_MACROS: Mapping[str, tuple[str, str]] = {
    # Letters and digits only, in lower case and without accents; null where none is left.
    "SQUASH": (
        "NULLIF ( REGEXP_REPLACE ( LOWER ( NORMALIZE (",
        r", NFKD ) ) , '[^\p{L}\p{N}]' , '' , 'g' ) , '' )",
    ),
}
"""Functions that polars' SQL has not by one name: what stands before and behind the argument."""

AGGREGATES = frozenset({"COUNT", "MAX", "MIN", "SUM"})
"""Functions over the rows of a child table; allowed in `rollups` only."""

KEYWORDS = frozenset(
    "AND AS BETWEEN CASE DISTINCT ELSE END FALSE FROM ILIKE IN IS LIKE NOT NULL OR THEN TRUE "  # noqa: SIM905
    "WHEN".split()
)
TYPE_NAMES = frozenset({"BIGINT", "BOOLEAN", "DOUBLE", "INTEGER", "SMALLINT", "VARCHAR"})
"""What `TRY_CAST` may aim at."""

_IMPURE = frozenset(
    "CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP GEN_RANDOM_UUID LOCALTIME LOCALTIMESTAMP NOW "  # noqa: SIM905
    "RAND RANDOM TODAY UUID".split()
)
_TOKEN = re.compile(
    r"\s+|(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<operator>!~\*|!~|~\*|<>|!=|<=|>=|\|\||[-+*/%=<>~(),])",
    re.ASCII,
)
_COMMENT = re.compile(r"--|/\*")

Schema = Mapping[str, pl.DataType]


def compile_row_rule(rule: str, schema: Schema, result: pl.DataType, *, place: str) -> pl.Expr:
    """Return the expression of a rule over one record; its value has exactly the type `result`.

    Args:
        rule: SQL, in the words of this module.
        schema: The columns that the rule may name.
        result: What it must give; whole numbers of another width are converted.
        place: Where the rule stands; opens every error message.

    Raises:
        RuleError: it is no such expression; says which word is wrong.
    """
    return _compile(rule, schema, result, place=place, aggregates=False)


def compile_rollup(rule: str, schema: Schema, result: pl.DataType, *, place: str) -> pl.Expr:
    """Return the expression of a rule over all child rows of one record.

    Raises:
        RuleError: it is no such expression, or no aggregate.
    """
    return _compile(rule, schema, result, place=place, aggregates=True)


def _compile(
    rule: str, schema: Schema, result: pl.DataType, *, place: str, aggregates: bool
) -> pl.Expr:
    try:
        _check_words(rule, schema, aggregates=aggregates)
        expression = pl.sql_expr(_expand(rule))
        _check_result(expression, schema, result, aggregates=aggregates)
    except RuleError as error:
        raise RuleError(f"{place}: {error.message}", place=place) from error
    except PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise RuleError(f"{place}: {reason}", place=place) from error
    return expression.cast(result, strict=False)


def _check_words(rule: str, schema: Schema, *, aggregates: bool) -> None:
    if _COMMENT.search(rule):
        raise RuleError("comments belong into YAML (`#`), not into a rule")
    functions = SCALAR_FUNCTIONS | AGGREGATES if aggregates else SCALAR_FUNCTIONS
    for (kind, token), (_, following) in pairwise([*_tokens(rule), ("", "")]):
        if kind != "word" or token.upper() in KEYWORDS or token.upper() in TYPE_NAMES:
            continue
        if token.upper() in _IMPURE and token not in schema:
            raise RuleError(
                f"`{token}` is refused: a rule must give the same result on every replay, "
                "so it sees no clock and no chance"
            )
        if following == "(":
            _check_function(token, functions)
        elif token not in schema:
            raise RuleError(
                f"`{token}` is no column here; known: {', '.join(sorted(schema)) or 'none'}"
            )


def _expand(rule: str) -> str:
    """Write the macros out."""
    written: list[str] = []
    closers: list[str] = []
    closer = ")"
    for kind, text in _tokens(rule):
        if kind == "word" and text.upper() in _MACROS:
            opening, closer = _MACROS[text.upper()]
            written.append(opening)
        elif text == "(":
            if closer == ")":
                written.append(text)
            closers.append(closer)
            closer = ")"
        elif text == ")" and closers:
            written.append(closers.pop())
        else:
            written.append(text)
    return " ".join(written)


def _tokens(rule: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(rule):
        match = _TOKEN.match(rule, at)
        if match is None:
            raise RuleError(f"`{rule[at]}` at character {at + 1} has no meaning in a rule")
        at = match.end()
        if match.lastgroup is not None:
            yield match.lastgroup, match[0]


def _check_function(name: str, allowed: frozenset[str]) -> None:
    if name.upper() in allowed:
        return
    if name.upper() in AGGREGATES:
        raise RuleError(f"`{name}` looks at several records; only `rollups` may do that")
    raise RuleError(f"`{name}` is no function of rules; known: {', '.join(sorted(allowed))}")


def _check_result(
    expression: pl.Expr, schema: Schema, result: pl.DataType, *, aggregates: bool
) -> None:
    # Two rows of nulls: a rule must bear them, and a forgotten aggregate shows by its one row.
    nulls = pl.DataFrame({name: [None, None] for name in schema}, schema=dict(schema))
    value = nulls.select(expression.alias("value"))
    if aggregates and value.height != 1:
        raise RuleError("gives a value per row; a rollup must aggregate (COUNT, SUM, MIN, MAX)")
    found = value["value"].dtype
    if found in (result, pl.Null()) or (found.is_integer() and result.is_numeric()):
        return
    if found.is_decimal() and (result.is_decimal() or result.is_float()):
        return
    raise RuleError(f"gives {found}, not {result}")
