"""The section `records` of an API: `kind: http`."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chassis.http.config import HttpConfig
from contracts.types import Name

ITEM = "{item}"
"""Stands for one item of `for_each`, in the path or in a parameter."""

ApiPath = Annotated[str, StringConstraints(pattern=r"^/[^?#\s]*$", max_length=1000)]
"""A path below the base address; parameters stand in `params`."""

ValuePath = Annotated[str, StringConstraints(max_length=200)]
"""Where in a body: `a.b` is the value `b` of the object in `a`; the empty text is the whole."""

FieldName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ByNumber(_Section):
    """Pages with a number."""

    by: Literal["number"]
    param: FieldName = "page"
    first: Annotated[int, Field(ge=0, le=1)] = 1
    size_param: FieldName | None = None
    size: Annotated[int, Field(ge=1, le=100_000)] = 100


class ByOffset(_Section):
    """Pages that begin at a record."""

    by: Literal["offset"]
    param: FieldName = "offset"
    first: Annotated[int, Field(ge=0, le=1)] = 0
    size_param: FieldName | None = "limit"
    size: Annotated[int, Field(ge=1, le=100_000)] = 100


class ByCursor(_Section):
    """Each page says how to ask for the next one."""

    by: Literal["cursor"]
    param: FieldName = "cursor"
    next: Annotated[ValuePath, Field(min_length=1)]
    """Where the body says it; nothing there means the end."""


class ByLink(_Section):
    """A header `Link` with `rel="next"` leads on."""

    by: Literal["link"]


Paging = Annotated[ByNumber | ByOffset | ByCursor | ByLink, Field(discriminator="by")]


class Body(_Section):
    """What an answer looks like."""

    format: Literal["json", "csv"] = "json"
    record_path: ValuePath = ""
    """Where the records are: a list, or one object."""

    inherit: dict[FieldName, ValuePath] = {}
    """Fields of the body that each record gets: `{symbol: symbol}`."""

    numbers: tuple[FieldName, ...] = ()
    """Columns of a CSV that hold numbers: then both forms of an API tell the same record."""

    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    total_path: ValuePath | None = None
    """Where the body says how many records there are."""


class Call(Body):
    """One request that tells records."""

    path: ApiPath
    method: Literal["GET", "POST"] = "GET"
    params: dict[FieldName, str] = {}
    body: dict[str, Any] | None = None
    paging: Paging | None = None


class SinceParameter(_Section):
    """How the source is asked for what changed lately (S2-15)."""

    param: FieldName
    field: FieldName
    """The record's time of change: the highest one becomes the cursor."""

    format: Literal["timestamp", "date"] = "timestamp"


class DayRange(_Section):
    """Series: a bar a day, asked for between two days."""

    field: FieldName = "date"
    from_param: FieldName = "from"
    to_param: FieldName = "to"
    start: date
    """The first day that is mirrored at all; a full poll begins there."""

    today: date | None = None
    """Counts as today, for sources whose series have ended; by default the clock's."""


class SeriesChecks(_Section):
    """What is not believed of a series."""

    values: Annotated[tuple[FieldName, ...], Field(min_length=1)] = (
        "open",
        "high",
        "low",
        "close",
    )
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.001
    """A known bar that moved further was re-based: the item is read again as a whole (C-22)."""

    least_bars: Annotated[int, Field(ge=2)] = 3
    """Shorter series are too short to be told apart."""

    same_series_items: Annotated[int, Field(ge=2)] = 3
    """So many items with one and the same series: all of them are quarantined."""


class BulkCall(Call):
    """One request that tells the records of most items at once."""

    item_field: FieldName
    """The field with the item; other items than those of `for_each` are left out."""


class ForEach(_Section):
    """One request per item: the items are the known records of another source."""

    source: Name
    concurrency: Annotated[int, Field(ge=1, le=200)] = 10
    """Requests at a time (S3-09)."""

    item_field: FieldName
    """The field of a record that holds its item."""

    max_failures_in_a_row: Annotated[int, Field(ge=1)] = 20
    """So many items without an answer mean that the source is away: the run is tried again."""

    bulk: BulkCall | None = None
    """Asked first; only the items that it lacks are then asked for one by one."""


class HttpRecords(_Section):
    """Which requests give the records."""

    kind: Literal["http"]
    api: HttpConfig
    call: Call
    probe: Call | None = None
    """Asked before a poll and by checks, to see whether the credentials are good; by default the
    first page, where there are pages."""

    item: Call | None = None
    """Gives one record by its id, which stands for `{item}`."""

    since: SinceParameter | None = None
    for_each: ForEach | None = None
    days: DayRange | None = None
    series: SeriesChecks | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        asks = ITEM in self.call.path or any(ITEM in text for text in self.call.params.values())
        if asks and self.for_each is None:
            raise ValueError("`call` holds `{item}`, and there is no `for_each`")
        if self.for_each is not None:
            self._per_item_fits(asks=asks)
        elif self.days or self.series:
            raise ValueError("`days` and `series` need `for_each`")
        return self

    def _per_item_fits(self, *, asks: bool) -> None:
        if not asks:
            raise ValueError("`for_each` needs `{item}` in the path or in a parameter of `call`")
        if self.item or self.since or self.call.paging:
            raise ValueError("`for_each` goes without `item`, `since` and `paging`")
        if self.series and not self.days:
            raise ValueError("`series` needs `days`")
