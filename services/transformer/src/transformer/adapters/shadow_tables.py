"""Makes the tables that hold the rows of shadows, each of the form of the one in `silver`.

What they hold can be computed again, so one that does not fit any more is made anew.
"""

from collections.abc import Iterable

from chassis.db import Connection
from transformer.adapters.silver_tables import check_rules
from transformer.domain.entity import Entity
from transformer.errors import SilverSchemaError


async def make_shadow_tables(connection: Connection, entities: Iterable[Entity]) -> list[str]:
    """Make what is missing or of another form than silver's; return the names."""
    wanted = list(entities)
    async with connection.transaction():
        await connection.execute("lock table shadow.sets in share row exclusive mode")
        made = await _unfit(connection, wanted)
        for table, key in _tables(wanted).items():
            if table in made:
                await connection.execute(
                    f"drop table if exists shadow.{table}; create unlogged table shadow.{table} "
                    f"(like silver.{table}, primary key ({key}))"
                )
        spoilt = [item.entity_type for item in wanted if _tables([item]).keys() & set(made)]
        await connection.execute("delete from shadow.sets where entity_type = any($1)", spoilt)
    return [f"shadow.{table}" for table in made]


async def check_shadow_tables(connection: Connection, entity: Entity) -> None:
    """Prove that silver's and the shadow's tables fit rules, whether these are at work or not.

    Raises:
        SilverSchemaError: says what is missing, and how to get it.
    """
    await check_rules(connection, entity)
    if unfit := await _unfit(connection, [entity]):
        names = ", ".join(f"`shadow.{table}`" for table in unfit)
        raise SilverSchemaError(f"{names}: missing or out of date; run `penstock migrate`")


def _tables(entities: Iterable[Entity]) -> dict[str, str]:
    """Return the tables of rows with their keys."""
    found = {}
    for entity in entities:
        found[entity.config.table] = "entity_id"
        for child in entity.children:
            found[child.config.table] = f"entity_id, {child.config.number}"
    return found


async def _unfit(connection: Connection, entities: Iterable[Entity]) -> list[str]:
    rows = await connection.fetch(_UNFIT, list(_tables(entities)))
    return [row["name"] for row in rows]


_UNFIT = """
select t.name
from unnest($1::text[]) as t (name)
cross join lateral (
    select array_agg(row(a.attname, a.atttypid, a.atttypmod, a.attnotnull)::text order by a.attname)
        filter (where a.attrelid = to_regclass('silver.' || t.name)) as wanted,
        array_agg(row(a.attname, a.atttypid, a.atttypmod, a.attnotnull)::text order by a.attname)
        filter (where a.attrelid = to_regclass('shadow.' || t.name)) as found
    from pg_attribute a
    where a.attrelid in (to_regclass('silver.' || t.name), to_regclass('shadow.' || t.name))
      and a.attnum > 0 and not a.attisdropped) c
where c.wanted is distinct from c.found
order by t.name
"""
