"""How a filter names one thing: people copy the beginning of an id from a table."""

from typing import Annotated

from pydantic import StringConstraints

IdBeginning = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{0,36}$", to_lower=True)]
"""An id, or the beginning of one."""
