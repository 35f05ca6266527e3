"""How bronze is read for a transformation, in bounded memory."""

from collections.abc import Sequence

from tests.integration.transformer.hub import Hub
from tests.unit.transformer.calls import document
from transformer.adapters.postgres_bronze import PostgresBronze

ALL = 1_000_000
"""More bytes than all records here have."""


async def read(
    hub: Hub, entity_ids: Sequence[str], *, limit: int = ALL
) -> list[tuple[str, str, bool]] | None:
    async with hub.database.connection() as connection:
        heads = await PostgresBronze().heads_within(
            connection, "transcript", entity_ids, limit=limit
        )
    if heads is None:
        return None
    return sorted((head.entity_id, head.external_id, head.document is not None) for head in heads)


async def test_heads_are_those_of_the_entities_and_no_others(hub: Hub) -> None:
    for name in ("B", "C", "a", "b", "c"):
        await hub.store(name, f"{name}.xml", document())
    await hub.store("a", "a-2.xml", document())
    await hub.delete("b", "b.xml")

    assert await read(hub, ["B", "a", "b"]) == [
        ("B", "B.xml", True),
        ("a", "a-2.xml", True),
        ("a", "a.xml", True),
        ("b", "b.xml", False),
    ]
    assert await read(hub, ["nobody"]) == []


async def test_of_more_bytes_than_wanted_nothing_is_returned(hub: Hub) -> None:
    names = ["a", "b", "c"]
    for name in names:
        await hub.store(name, f"{name}.xml", document())
    async with hub.database.connection() as connection:
        sizes = await PostgresBronze().sizes(connection, "transcript", names)
    total = sum(sizes.values())

    assert await read(hub, names, limit=total - 1) is None
    found = await read(hub, names, limit=total)
    assert found is not None
    assert len(found) == len(names)


async def test_a_record_that_is_too_large_to_count_is_too_large(hub: Hub) -> None:
    await hub.store("a", "a.xml", document())
    await hub.execute(f"update bronze.raw_entities set size_bytes = {2**40}")

    assert await read(hub, ["a"], limit=2**31 - 2) is None
