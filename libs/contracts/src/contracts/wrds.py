"""What the WRDS mirror tells: published data that the archive changed afterwards."""

from typing import Annotated

from pydantic import Field

from contracts.types import Identifier, Message, Name, Whole


class RestatedPartition(Message):
    """How much of one partition differs from the vintage before."""

    year: Whole
    """0 stands for a data set in one file."""

    rows_added: Whole = 0
    rows_removed: Whole = 0
    rows_changed: Whole = 0


class WrdsDataRestated(Message):
    """A new vintage of a data set changes or lacks rows that the one before had."""

    dataset: Name
    vintage: Identifier
    previous: Identifier
    rows_added: Whole = 0
    rows_removed: Whole = 0
    rows_changed: Whole = 0
    partitions: Annotated[tuple[RestatedPartition, ...], Field(max_length=300)] = ()
    """Those in which published rows changed or went."""
