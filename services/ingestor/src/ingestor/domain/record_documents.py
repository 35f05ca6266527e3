"""What bronze keeps of a record: canonical JSON that PostgreSQL can hold."""

import re
from typing import Any

from ingestor.domain.canonical import canonical_json
from ingestor.domain.versions import external_id_of
from ingestor.errors import UnparseableError

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The one character of JSON that PostgreSQL has no place for."""


def record_document(record: Any) -> bytes:
    """Return a record as canonical JSON.

    Raises:
        UnparseableError: it is no JSON object, or holds what cannot be kept.
    """
    if not isinstance(record, dict):
        raise UnparseableError("a record is a JSON object")
    try:
        document = canonical_json(record)
    except TypeError as error:
        raise UnparseableError(f"the record has a value that JSON cannot carry: {error}") from error
    if _NUL.search(document):
        raise UnparseableError("the record holds a NUL character, which PostgreSQL cannot store")
    return document


def record_entity_id(source_system: str, external_id: str) -> str:
    """Return the entity of a record in bronze: the record itself, as its source knows it."""
    return external_id_of(f"{source_system}/{external_id}")
