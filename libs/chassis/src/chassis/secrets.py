"""Secrets that a configuration file names and the environment holds.

`token: env:TDX_API_TOKEN` takes the variable `TDX_API_TOKEN`, or the contents of the file whose
path is in `TDX_API_TOKEN_FILE`, or the file of that name in the secrets folder.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from pydantic import SecretStr, StringConstraints

from chassis.errors import SettingsError
from chassis.settings import read_named

_REFERENCE = r"^env:[A-Z][A-Z0-9_]{0,99}$"
_MATCHES = re.compile(_REFERENCE).match

SecretReference = Annotated[str, StringConstraints(pattern=_REFERENCE)]
"""Where a secret is found; a secret itself never stands in the configuration."""


class Secrets:
    """The secrets that the configuration refers to."""

    def __init__(self, values: Mapping[str, SecretStr]) -> None:
        self._values = dict(values)

    def __getitem__(self, reference: str) -> str:
        """Return the secret that a reference stands for."""
        return self._values[reference.removeprefix("env:")].get_secret_value()

    def values(self) -> list[str]:
        """Return all of them, for the logs to leave out."""
        return [value.get_secret_value() for value in self._values.values()]


def references(document: object) -> Iterator[str]:
    """Yield every reference in a parsed configuration."""
    if isinstance(document, str):
        if _MATCHES(document):
            yield document
    elif isinstance(document, Mapping):
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list | tuple):
        for item in document:
            yield from references(item)


def resolve_secrets(
    documents: Iterable[object], *, environment: Mapping[str, str] | None = None
) -> Secrets:
    """Find every secret that the documents refer to.

    Raises:
        SettingsError: names all that are missing, at once, and no value.
    """
    names = sorted({item.removeprefix("env:") for part in documents for item in references(part)})
    found = read_named(names, environment=environment)
    problems = [f"`{name}` is missing" for name in names if name not in found]
    if problems:
        raise SettingsError("settings: " + "; ".join(problems), problems=problems)
    return Secrets({name: SecretStr(value) for name, value in found.items()})
