"""The part of T-SQL that merges and undoes rows, as PostgreSQL takes it.

A mechanical translation by patterns, for tests only: it lets a real database execute the logic of
the statements, though not SQL Server itself. Whatever no pattern knows fails there as a syntax
error. Statements about SQL Server's own switches (identity, triggers, statistics) are left out.
"""

import re

_LEFT_OUT = re.compile(
    r"^(SET IDENTITY_INSERT|UPDATE STATISTICS|ALTER TABLE \S+ ((NO)?CHECK|WITH|DISABLE|ENABLE))"
)
_DELETE = re.compile(
    r"^DELETE t FROM (?P<table>.+?) AS t INNER JOIN (?P<notes>.+?) AS u ON (?P<same>.+?) "
    r"WHERE (?P<rest>.+)$"
)
_UPDATE = re.compile(
    r"^UPDATE t SET (?P<set>.+?) FROM (?P<table>.+?) AS t (?P<joins>.+) WHERE (?P<rest>.+)$"
)
_JOIN = re.compile(r"INNER JOIN (\S+) AS (\w) ON (.+?)(?= INNER JOIN|$)")
_PATTERNS = (
    (r"\[((?:[^\]]|\]\])*)\]", lambda found: '"' + found[1].replace("]]", "]") + '"'),
    (r" COLLATE \w+", ""),
    (r"\bn?varchar\(max\)", "text"),
    (r"\bnvarchar\(", "varchar("),
    (r"\bxml\b", "text"),
    (r"\bHASHBYTES\('SHA2_256', CONVERT\(text, ([^()]+)\)\)", r"convert_to(\1::text, 'UTF8')"),
    (r"\bCONVERT\(datetime2\(\d\), \?, 126\)", "?::timestamp"),
    (r"\bCONVERT\(date, \?, 126\)", "?::date"),
    (r"\bdatetime2\(7\)", "timestamp(6)"),
    (r"\bdatetime2\(", "timestamp("),
    (r"\bCOUNT_BIG\(", "count("),
    (r" WITH \(TABLOCK(, HOLDLOCK)?\)", ""),
    (r"\bTOP \(1\) 1 AS one FROM ([^)]+)\)", r"1 AS one FROM \1 LIMIT 1)"),
    (r"^IF SCHEMA_ID\(N'(\w+)'\) IS NULL .*$", r"CREATE SCHEMA IF NOT EXISTS \1"),
    (r" PRIMARY KEY CLUSTERED ", " PRIMARY KEY "),
)


def to_postgres(sql: str) -> str | None:
    """Return a statement as PostgreSQL takes it; None for one that it has no need of."""
    if _LEFT_OUT.match(sql):
        return None
    for pattern, replacement in _PATTERNS:
        sql = re.sub(pattern, replacement, sql)
    if found := _DELETE.match(sql):
        sql = (
            f"DELETE FROM {found['table']} AS t USING {found['notes']} AS u "
            f"WHERE {found['same']} AND {found['rest']}"
        )
    elif found := _UPDATE.match(sql):
        joins = _JOIN.findall(found["joins"])
        others = ", ".join(f"{table} AS {alias}" for table, alias, _ in joins)
        same = " AND ".join(condition for _, _, condition in joins)
        changes = re.sub(r'\bt\.("[^"]+" =)', r"\1", found["set"])
        sql = f"UPDATE {found['table']} AS t SET {changes} FROM {others} WHERE {same}"
        sql += f" AND {found['rest']}"
    numbers = iter(range(1, 100))
    return re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
