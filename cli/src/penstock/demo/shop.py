"""The demo's production and UAT databases: a small shop that is refreshed, masked.

What must come of it is counted in the example files and by plain SQL on both databases, not by the
refresher.
"""

import csv
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from penstock.demo.figures import Row
from penstock.demo.own_databases import Login, OwnDatabase

TABLES = ("customers", "orders", "order_details")
"""In the order in which foreign keys let them be filled."""

_LONG_AGO = """
delete from customers
where customer_id not in (select customer_id from customers order by customer_id limit 20);
update customers set contact_name = 'An old name';
"""
"""What a refresh of long ago has left in UAT."""

_NEW_ORDERS = """
insert into orders (order_id, customer_id, order_date, freight, ship_city, ship_country)
select 20000 + n, 'ALFKI', date '1998-06-01' + n, 10, 'Berlin', 'Germany'
from generate_series(1, 5) n
"""
_NEW_ORDER_COUNT = 5
_LOGICAL = "alter database {name} set penstock.refresh_role = 'target'"
_PERSONAL = ("contact_name", "address", "phone", "fax")
_PERSONAL_VALUES = """
select array_agg(contact_name), array_agg(address), array_agg(phone), array_agg(fax)
from customers
"""
_COUNTS = """
select (select count(*) from customers), (select count(*) from orders),
       (select count(*) from order_details)
"""
_OWN = """
alter table customers owner to {role};
alter table orders owner to {role};
alter table order_details owner to {role};
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """Both databases, and the two logins that a refresh uses."""

    production: OwnDatabase
    uat: OwnDatabase
    reader: Login
    writer: Login
    examples: Path

    @classmethod
    async def open(cls, server_url: str, examples: Path, *, prefix: str = "demo") -> Self:
        """Lay out both databases, with customers of long ago in UAT."""
        folder = examples / "shop"
        reader, writer = Login.new(f"{prefix}_reader"), Login.new(f"{prefix}_writer")
        await OwnDatabase(server_url).run(reader.create, writer.create)
        production = await OwnDatabase.create(server_url, f"{prefix}_production")
        uat = await OwnDatabase.create(server_url, f"{prefix}_uat", owner=writer.name)
        schema = (folder / "schema.sql").read_text("utf-8")
        files = {table: folder / f"{table}.csv" for table in TABLES}
        await production.run("revoke create on schema public from public", schema)
        await production.load(files)
        await production.run(
            f"grant usage on schema public to {reader.name}",
            f"grant select on all tables in schema public to {reader.name}",
        )
        await uat.run(schema, _LOGICAL.format(name=uat.name))
        await uat.load({"customers": files["customers"]})
        await uat.run(_LONG_AGO, _OWN.format(role=writer.name))
        return cls(production, uat, reader, writer, folder)

    @property
    def env(self) -> dict[str, str]:
        """What the refresher needs of its environment."""
        return {
            "SOURCE_DB_USER": self.reader.name,
            "SOURCE_DB_PASSWORD": self.reader.password,
            "TARGET_DB_USER": self.writer.name,
            "TARGET_DB_PASSWORD": self.writer.password,
            "REFRESHER_MASKING_KEY": secrets.token_urlsafe(32),
        }

    def write_config(self, folder: Path, fingerprints: Sequence[str] = ()) -> None:
        """Write `refresh.yaml`; nothing is applied before both fingerprints are pinned in it."""
        databases: dict[str, dict[str, Any]] = {
            side: {
                "kind": "postgresql",
                "server": item.host,
                "port": item.port,
                "database": item.name,
                "tls": "disable",  # it never leaves this machine
            }
            for side, item in (("source", self.production), ("target", self.uat))
        }
        for section, fingerprint in zip(databases.values(), fingerprints, strict=False):
            section["fingerprint"] = fingerprint
        text = yaml.safe_dump({"databases": databases, **_CONFIG}, sort_keys=False)
        (folder / "refresh.yaml").write_text(text, "utf-8")

    async def sell(self) -> None:
        """Add orders in production."""
        await self.production.run(_NEW_ORDERS)

    async def figures(self) -> Sequence[Row]:
        """Return what UAT must hold after all refreshes, and what it holds."""
        lines = {table: self._lines(table) for table in TABLES}
        lines["orders"] += _NEW_ORDER_COUNT
        counts = await self.uat.row(_COUNTS)
        rows = [
            Row(f"UAT: {table}", f"{lines[table]:,}", f"{count:,}")
            for table, count in zip(TABLES, counts, strict=True)
        ]
        rows.append(Row("UAT: personal values of production", "0", f"{await self._leaks():,}"))
        return rows

    async def figures_after_undo(self) -> Sequence[Row]:
        """Return how many orders are left once the last refresh is taken back."""
        _, orders, _ = await self.uat.row(_COUNTS)
        return [
            Row("UAT: orders, the last refresh undone", f"{self._lines('orders'):,}", f"{orders:,}")
        ]

    async def _leaks(self) -> int:
        """Return how many values of a personal column stand in both databases."""
        mine = await self.production.row(_PERSONAL_VALUES)
        theirs = await self.uat.row(_PERSONAL_VALUES)
        return sum(
            len(set(values) & set(others) - {None})
            for values, others in zip(mine, theirs, strict=True)
        )

    def _lines(self, table: str) -> int:
        with (self.examples / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            return sum(1 for _ in csv.reader(file)) - 1


_CONFIG: dict[str, Any] = {
    "masking": {
        "classes": {"public": {"method": "keep"}, "person": {"method": "shape"}},
        "rules": [
            {"columns": [f"customers.{name}" for name in _PERSONAL], "class": "person"},
            {"columns": ["*"], "class": "public"},
        ],
    },
    "approval": {"destructive": "ask"},
    "tables": [
        {"name": "customers", "sync_mode": "full_replace"},
        {
            "name": "orders",
            "sync_mode": "incremental",
            "incremental_column": "order_date",
            "incremental_type": "date",
            "fallback_to_full": True,
        },
        {"name": "order_details", "sync_mode": "full_replace"},
    ],
}
