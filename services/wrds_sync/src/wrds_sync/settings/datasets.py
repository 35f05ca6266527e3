"""The data set file: a new data set is a few lines of YAML, and no code."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chassis.errors import PenstockError
from chassis.sources import ConfigError, parse_model
from wrds_sync.domain.datasets import Dataset, Rules
from wrds_sync.domain.tables import Selection, TableRef
from wrds_sync.errors import DatasetConfigError

FILE = "datasets.yaml"
ALL = "all"
SCHEMA_URL = "datasets.schema.json"

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,63}$")]
"""A folder, a lock, a label: lower case, digits, `_`."""

SqlName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,62}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RulesConfig(_Part):
    """What every partition must satisfy before it is published."""

    key: tuple[SqlName, ...] = ()
    """No two rows may agree in all of these; restatements are told by it."""

    required: tuple[SqlName, ...] = ()
    """Columns that are never null."""

    max_shrink: float = Field(0.1, ge=0, le=1)
    """A partition may lose this share of its rows; 1 accepts that a year vanishes."""


class DatasetConfig(_Part):
    """One data set."""

    name: Word
    vendor: Word
    frequency: Word
    """Vendor and frequency make the folder: `wrds/<vendor>/<frequency>`."""

    table: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w$]*\.[A-Za-z_][\w$]*$")]
    """`schema.table` at the archive; a view is fine."""

    date_column: SqlName | None = None
    """Divides the rows into a file per year; without one there is a single file."""

    columns: tuple[SqlName, ...] = ()
    """Empty takes every column that the table has."""

    where: dict[SqlName, str] = {}
    """Column: value; only rows that have them."""

    types: dict[SqlName, str] = {}
    """Column: Arrow type, e.g. `permno: int32`; by default a `numeric(p,s)` is an exact decimal."""

    order_by: tuple[SqlName, ...] = ()
    start_year: int = Field(2000, ge=1800, le=2200)
    look_back_years: int = Field(1, ge=0)
    """The latest years that are read again where the archive cannot prove them unchanged."""

    frozen_after_days: int | None = Field(None, ge=1)
    """Days without any change that are suspicious; leave it out for a table that has ended."""

    is_daily: bool = True
    """Whether it must be there at 8 AM ET after every session."""

    rules: RulesConfig = RulesConfig()

    def to_domain(self) -> Dataset:
        """Return the data set that the handlers know."""
        schema, _, table = self.table.partition(".")
        return Dataset(
            name=self.name,
            vendor=self.vendor,
            frequency=self.frequency,
            selection=Selection(
                table=TableRef(schema, table),
                date_column=self.date_column,
                columns=self.columns,
                equals=self.where,
                types=self.types,
                order_by=self.order_by,
            ),
            rules=Rules(
                key=self.rules.key,
                required=self.rules.required,
                max_shrink=self.rules.max_shrink,
            ),
            start_year=self.start_year,
            look_back_years=self.look_back_years,
            frozen_after_days=self.frozen_after_days,
            is_daily=self.is_daily,
        )


class DatasetsConfig(_Part):
    """The whole file."""

    version: Literal[1]
    datasets: tuple[DatasetConfig, ...]

    @model_validator(mode="after")
    def _names_do_not_collide(self) -> Self:
        for what, values in (
            ("name", [item.name for item in self.datasets]),
            ("folder", [f"{item.vendor}/{item.frequency}" for item in self.datasets]),
        ):
            if twice := sorted(name for name, count in Counter(values).items() if count > 1):
                raise ValueError(f"the same {what} stands twice: {', '.join(twice)}")
        vendors = {item.vendor for item in self.datasets}
        if clash := sorted({item.name for item in self.datasets} & (vendors | {ALL})):
            raise ValueError(f"a data set is named like a vendor: {', '.join(clash)}")
        return self


class DatasetCatalog:
    """The data sets, and the words that choose among them."""

    def __init__(self, datasets: tuple[Dataset, ...]) -> None:
        self._datasets = {item.name: item for item in datasets}

    def all(self) -> list[Dataset]:
        """Return every data set, as configured."""
        return list(self._datasets.values())

    def targets(self) -> frozenset[str]:
        """Return what a command may name: a data set, a vendor, or `all`."""
        vendors = {item.vendor for item in self._datasets.values()}
        return frozenset({ALL, *vendors, *self._datasets})

    def select(self, target: str) -> list[Dataset]:
        """Return the data sets that a target means.

        Raises:
            DatasetConfigError: it means none.
        """
        chosen = [
            item for item in self._datasets.values() if target in (ALL, item.vendor, item.name)
        ]
        if not chosen:
            known = ", ".join(sorted(self.targets()))
            raise DatasetConfigError(f"no data set is called {target!r}; known: {known}")
        return chosen


def load_datasets(directory: Path) -> DatasetCatalog:
    """Read and validate the file; without one, nothing is mirrored from here.

    Raises:
        DatasetConfigError: names every problem.
    """
    if not (directory / FILE).exists():
        return DatasetCatalog(())
    try:
        config = parse_model(DatasetsConfig, directory / FILE)
    except ConfigError as error:
        raise _rejected(error) from error
    return DatasetCatalog(tuple(item.to_domain() for item in config.datasets))


def _rejected(error: PenstockError) -> DatasetConfigError:
    return DatasetConfigError(error.message, category=error.category, **error.facts)


def json_schema() -> str:
    """Return the JSON Schema of the file, for editors."""
    schema = DatasetsConfig.model_json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_URL,
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
