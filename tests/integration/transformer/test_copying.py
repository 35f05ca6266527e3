import polars as pl

from tests.integration.transformer.hub import Hub
from transformer.adapters.copying import array, array_of_numbers, copy_frame

TEXTS = ["", None, " a ", 'say "no"', "\\", "\\.", "a\n\\.\nb", "a\r\n", "\x1f", "\x1e\x1e", "NULL"]


async def test_every_text_arrives_as_it_is(hub: Hub) -> None:
    frame = pl.DataFrame(
        {
            "id": range(len(TEXTS)),
            "text": TEXTS,
            "texts": [None, [], *([item, "{b,c}"] for item in TEXTS[2:])],
            "numbers": [[0, None]] * len(TEXTS),
        },
        schema_overrides={"texts": pl.List(pl.String())},
    )
    staged = frame.select("text", array("texts"), array_of_numbers("numbers"), "id")
    async with hub.database.transaction() as transaction:
        connection = transaction.connection
        await connection.execute(
            "create temporary table stage (t text, a text[], n smallint[], id integer) "
            "on commit drop"
        )
        await copy_frame(connection, "stage", staged, columns=("t", "a", "n", "id"))
        rows = await connection.fetch("select id, t, a, n from stage order by id")
    assert [tuple(row) for row in rows] == frame.rows()
