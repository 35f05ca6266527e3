"""What is asked of a SQL Server to show a few rows: everything as text, cut there."""

from refresher.adapters.sqlserver_samples import rows_query
from refresher.domain.catalog import Column, Side, TableRef, TypeKind
from refresher.domain.previews import Sample


def column(name: str, kind: TypeKind) -> Column:
    return Column(name=name, type=kind.value, kind=kind)


def test_values_become_text_on_the_server_without_losing_digits() -> None:
    sample = Sample(
        side=Side.SOURCE,
        ref=TableRef("dbo", "Order]s"),
        columns=(
            column("id", TypeKind.INTEGER),
            column("at", TypeKind.TIMESTAMP),
            column("score", TypeKind.FLOAT),
            column("scan", TypeKind.BINARY),
            column("place", TypeKind.OTHER),
        ),
        order=("id",),
        predicate="region = 'EU'",
        limit=50,
    )
    assert rows_query(sample) == (
        "SELECT TOP (50) "
        "LEFT(CONVERT(nvarchar(max), [id]), 4001) AS [id], "
        "LEFT(CONVERT(nvarchar(max), [at], 126), 4001) AS [at], "
        "LEFT(CONVERT(nvarchar(max), [score], 3), 4001) AS [score], "
        "CONVERT(varchar(130), SUBSTRING([scan], 1, 64), 1) AS [scan], "
        "CASE WHEN [place] IS NOT NULL THEN N'(not shown)' END AS [place] "
        "FROM [dbo].[Order]]s] WHERE (region = 'EU') ORDER BY [id] DESC"
    )


def test_a_heap_has_no_order() -> None:
    sample = Sample(
        side=Side.TARGET, ref=TableRef("dbo", "t"), columns=(column("a", TypeKind.TEXT),), limit=3
    )
    assert rows_query(sample) == (
        "SELECT TOP (3) LEFT(CONVERT(nvarchar(max), [a]), 4001) AS [a] FROM [dbo].[t]"
    )
