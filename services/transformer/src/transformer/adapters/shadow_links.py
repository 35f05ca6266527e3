"""Identity and bronze as a shadow sees them: the same statements, about the tables of `shadow`."""

from collections.abc import Mapping, Sequence

from chassis.db import Connection
from transformer.adapters.postgres_xref import PostgresXref
from transformer.domain.identity import Record
from transformer.domain.neighbourhood import Resolution

_PLACES = {
    "bronze.heads": "shadow.records",
    "meta.entity_xref": "shadow.entity_xref",
    "meta.entity_keys": "shadow.entity_keys",
    "meta.refused_keys": "shadow.refused_keys",
    "'transformer.identity/'": "'transformer.shadow-identity/'",
}


def in_shadow(statement: str) -> str:
    """Return a statement about links or heads as one about a shadow's."""
    for place, other in _PLACES.items():
        statement = statement.replace(place, other)
    return statement


class ShadowXref(PostgresXref):
    """The links of shadows; silver's own are neither read nor written."""

    def __init__(self) -> None:
        super().__init__(in_shadow)

    async def save(
        self,
        connection: Connection,
        entity_type: str,
        changed: Mapping[str, Record],
        resolution: Resolution,
    ) -> int:
        """Write keys, links and refusals; none counts as new, because nobody acts on them."""
        await super().save(connection, entity_type, changed, resolution)
        return 0

    async def point_to_survivors(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> None:
        """Leave silver as it is."""
