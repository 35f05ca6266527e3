"""What every part of a rules file is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

ColumnName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,50}$")]
"""A column, table, source or flag: what SQL takes without quotes."""

Rule = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
"""An expression in the words of `transformer.domain.expressions`."""

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=500)]
"""What people are told."""


class Section(BaseModel):
    """Base of every part of the file: frozen, and nothing unknown passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
