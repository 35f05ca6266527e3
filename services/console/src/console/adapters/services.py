"""The services as their traces in the database show them."""

from collections import defaultdict
from typing import Any

from chassis.db import Database
from console.ports.overview import COUNT_LIMIT
from console.ports.services import SERVICES, Lease, Position, ServicesState, ServiceState

_LEASES_SHOWN = 500

_STATES = f"""
select name,
       connected.connections, connected.hosts, connected.since as connected_since,
       (select count(*) from meta.runs r where r.service = name and r.status = 'queued')
       + (select count(*) from meta.runs r where r.service = name and r.status = 'running')
           as open_runs,
       (select max(heartbeat_at) from meta.runs r
        where r.service = name and r.status = 'running') as last_beat_at,
       (select count(*) from (select 1 from meta.outbox o where o.service = name
                              limit {COUNT_LIMIT}) found) as outbox_waiting,
       (select created_at from meta.outbox o where o.service = name order by id limit 1)
           as outbox_oldest_at,
       (select count(*) from (select 1 from meta.dead_letters d
                              where d.consumer = name and d.status = 'open'
                              limit {COUNT_LIMIT}) found) as open_dead_letters
from unnest($1::text[]) with ordinality as service (name, place)
cross join lateral (
    select count(*) as connections, count(distinct client_addr) as hosts,
           min(backend_start) as since
    from pg_stat_activity
    where application_name = name and datname = current_database()) connected
order by place
"""  # noqa: S608 - the parts are constants of this module

_POSITIONS = """
select consumer, topic, count(*) as partitions, sum(next_offset)::bigint as "offset",
       max(updated_at) as updated_at
from meta.consumer_positions group by consumer, topic order by consumer, topic
"""

_LEASES = """
select name, holder, token, acquired_at, expires_at, expires_at >= clock_timestamp() as is_held
from meta.leases
where expires_at > '-infinity'
order by is_held desc, name limit $1
"""


class PostgresServices:
    """The services as the database knows them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> ServicesState:
        """Return the state at this moment."""
        async with self._database.connection() as connection:
            states: list[Any] = await connection.fetch(_STATES, list(SERVICES))
            positions = await connection.fetch(_POSITIONS)
            leases = await connection.fetch(_LEASES, _LEASES_SHOWN)
        by_service: dict[str, list[Position]] = defaultdict(list)
        for row in positions:
            facts = {name: row[name] for name in Position.__slots__}
            by_service[row["consumer"]].append(Position(**facts))
        return ServicesState(
            services=[ServiceState(**row, positions=by_service[row["name"]]) for row in states],
            leases=[Lease(**row) for row in leases],
        )
