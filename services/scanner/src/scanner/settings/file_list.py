"""The section `records` of a list in a file: `kind: file-list`."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chassis.sources import ShareConfig
from scanner.settings.scan import SharePath

Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RowRule(_Section):
    """Which rows belong to the list, by one column."""

    column: Column
    among: tuple[str, ...] = ()
    """Keep rows with one of these values."""

    not_among: tuple[str, ...] = ()
    """Leave out rows with one of these values."""

    pattern: str | None = None
    """Keep rows whose whole value matches this regular expression."""


class CleanList(_Section):
    """A text file with one identity a line, written after every complete poll (S3-01)."""

    path: SharePath


class FileListRecords(_Section):
    """Where a list is, and which of its lines are records."""

    kind: Literal["file-list"]
    share: ShareConfig
    path: SharePath
    encoding: Literal["utf-8", "utf-16", "cp1252"] = "utf-8"
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    header: Annotated[tuple[Column, ...], Field(min_length=1)]
    """Column names by which the header line is found; the lines above it are not looked at."""

    rows: tuple[RowRule, ...] = ()
    max_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024
    page_size: Annotated[int, Field(ge=1, le=10000)] = 1000
    clean_list: CleanList | None = None

    @model_validator(mode="after")
    def _header_is_a_set(self) -> Self:
        if len(set(self.header)) != len(self.header):
            raise ValueError("`header` names a column twice")
        return self
