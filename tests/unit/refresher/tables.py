"""Valid tables and configurations, of which a test changes what matters."""

from collections.abc import Mapping
from typing import Any

from refresher.domain.catalog import (
    Catalog,
    Column,
    Extent,
    ForeignKey,
    Key,
    Table,
    TableRef,
    TypeKind,
)
from refresher.domain.config import RefreshConfig
from refresher.domain.modes import LastRefresh
from refresher.domain.planner import Findings

MASKING = {
    "classes": {"public": {"method": "keep"}, "person": {"method": "shape"}},
    "rules": [
        {"columns": ["*.email"], "class": "person"},
        {"columns": ["*"], "class": "public"},
    ],
}


def column(
    name: str, type_: str = "integer", kind: TypeKind = TypeKind.INTEGER, **facts: Any
) -> Column:
    return Column(name=name, type=type_, kind=kind, **facts)


def table(name: str, *columns: Column, **facts: Any) -> Table:
    found = columns or (
        column("id", is_nullable=False),
        column("email", "text", TypeKind.TEXT),
        column("day", "date", TypeKind.DATE),
    )
    key = Key(name=f"{name}_pkey", columns=("id",), is_primary=True)
    return Table(ref=TableRef("public", name), columns=found, **({"keys": (key,)} | facts))


def reference(child: str, parent: str) -> ForeignKey:
    return ForeignKey(
        name=f"{child}_{parent}",
        table=TableRef("public", child),
        columns=(f"{parent}_id",),
        references=TableRef("public", parent),
        referenced_columns=("id",),
    )


def config(*tables: Mapping[str, Any], **sections: Any) -> RefreshConfig:
    database = {"kind": "postgresql", "server": "x", "database": "y"}
    return RefreshConfig.model_validate(
        {
            "databases": {"source": database, "target": database},
            "tables": [*tables] or [{"name": "orders"}],
            "masking": MASKING,
            **sections,
        }
    )


def catalog(*tables: Table, version: str = "16.1") -> Catalog:
    return Catalog(tables={item.ref: item for item in tables}, version=version)


def findings(
    source: Catalog,
    target: Catalog,
    *,
    rows: int = 10,
    extent: Extent | None = None,
    history: Mapping[str, LastRefresh] | None = None,
    **facts: Any,
) -> Findings:
    there = {ref.name: extent or Extent(rows=rows) for ref in source.tables}
    here = {ref.name: extent or Extent(rows=rows) for ref in target.tables}
    return Findings(
        source=source,
        target=target,
        source_extents=there,
        target_extents=here,
        history=history or {},
        source_fingerprint="s",
        target_fingerprint="t",
        **facts,
    )
