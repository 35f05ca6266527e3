"""The section `records` of a database: `kind: sql`."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from chassis.secrets import SecretReference

ColumnName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_ $]{0,127}$")]

_TYPES: dict[str, Any] = {
    "text": str,
    "integer": int,
    "number": Decimal,
    "boolean": bool,
    "date": date,
    "timestamp": datetime,
    "uuid": UUID,
}


class SqlParameter(BaseModel):
    """One value for the query's `$1`, `$2`, … (SQL Server: `?`); never part of its text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["text", "integer", "number", "boolean", "date", "timestamp", "uuid"]
    value: str | int | float | bool

    def typed(self) -> Any:
        """Return the value as its type."""
        return TypeAdapter(_TYPES[self.type]).validate_python(
            str(self.value) if self.type in ("text", "number") else self.value
        )


class SqlRecords(BaseModel):
    """Which query gives the records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sql"]
    dialect: Literal["postgresql", "sqlserver"] = "postgresql"
    url: SecretReference
    """The connection address; it holds the password, so it is a secret.

    Of SQL Server `Server=host,1433;Database=…;UID=…;PWD=…;Encrypt=yes;ConnectRetryCount=0`.
    """

    query: Annotated[str, StringConstraints(min_length=1)]
    """One `select`; without a `;`. Its columns are the record's fields."""

    parameters: tuple[SqlParameter, ...] = ()
    id_column: ColumnName | None = None
    """By which single records can be asked for, when the record's `id` is this one column."""

    cursor_column: ColumnName | None = None
    """A column that only grows: the time of the last change, or a number; of SQL Server a number is
    a `rowversion`."""

    page_size: Annotated[int, Field(ge=1, le=10000)] = 1000
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    settle_seconds: Annotated[float, Field(ge=0)] = 5.0
    """A time that is younger is no safe mark: other transactions may still commit below it."""
