"""The hash by which a change of a record is known (S2-10 to S2-12, C-13).

What is hashed is part of the hash's meaning: each distinct list of fields is a *specification* with
a version, and a stored hash is compared under the version that made it. A list that somebody edits
is then no change of every record.
"""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from scanner.domain.records import RawRecord


class UnhashableRecordError(ValueError):
    """A record holds what JSON has no form for."""


@dataclass(frozen=True, slots=True)
class HashSpec:
    """What of a record is hashed."""

    significant: tuple[str, ...] = ()
    """Only these fields; empty means all."""

    volatile: tuple[str, ...] = ()
    """All but these."""

    unordered: tuple[str, ...] = ()
    """Lists that are sorted before."""

    def document(self) -> dict[str, list[str]]:
        """Return the specification as it is stored; the order of fields means nothing."""
        return {name: sorted(set(fields)) for name, fields in asdict(self).items()}

    @classmethod
    def read(cls, document: dict[str, list[str]]) -> "HashSpec":
        """Return the specification that was stored."""
        return cls(**{name: tuple(fields) for name, fields in document.items()})

    def hash(self, record: RawRecord) -> bytes:
        """Return the SHA-256 of the significant part of a record.

        Raises:
            UnhashableRecordError: it holds what JSON has no form for.
        """
        return hashlib.sha256(canonical_json(self.significant_part(record))).digest()

    def significant_part(self, record: RawRecord) -> RawRecord:
        """Return what counts of a record; the record itself if everything does."""
        if not (self.significant or self.volatile or self.unordered):
            return record
        part: Any = record
        if self.significant:
            part = {path: find(record, path) for path in self.significant}
        for path in self.volatile:
            part = _without(part, path.split("."))
        for path in self.unordered:
            part = _sorted(part, [path] if self.significant else path.split("."))
        return part  # type: ignore[no-any-return]


def canonical_json(value: Any) -> bytes:
    """Render a JSON value: sorted keys, no spaces, UTF-8.

    Raises:
        UnhashableRecordError: it holds what JSON has no form for.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnhashableRecordError(str(error)) from error


def find(value: Any, path: str) -> Any:
    """Return the value at a path; None where there is none, a list where the path meets one."""
    for name in path.split("."):
        value = _step(value, name)
    return value


def _step(value: Any, name: str) -> Any:
    if isinstance(value, list | tuple):
        return [_step(item, name) for item in value]
    return value.get(name) if isinstance(value, dict) else None


def _without(value: Any, path: list[str]) -> Any:
    if isinstance(value, list | tuple):
        return [_without(item, path) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    rest = {name: item for name, item in value.items() if name != path[0]}
    if len(path) > 1:
        rest[path[0]] = _without(value[path[0]], path[1:])
    return rest


def _sorted(value: Any, path: list[str]) -> Any:
    if not path:
        is_list = isinstance(value, list | tuple)
        return sorted(value, key=canonical_json) if is_list else value
    if isinstance(value, list | tuple):
        return [_sorted(item, path) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    return {**value, path[0]: _sorted(value[path[0]], path[1:])}
