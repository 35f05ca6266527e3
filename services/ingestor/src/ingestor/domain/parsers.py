"""Which parsers there are, by the name that configuration calls them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ingestor.domain.transcripts.filenames import read_path
from ingestor.domain.transcripts.parsing import parse_transcript
from ingestor.domain.transcripts.tree import XmlLimits


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What a file says, and of whom."""

    entity_id: str
    document: dict[str, Any]


Parse: TypeAlias = Callable[[bytes, str, int], ParsedFile]
"""From the bytes, the path and the size limit."""


def parse_transcript_xml(data: bytes, path: str, max_bytes: int) -> ParsedFile:
    """Parse an earnings-call transcript in FactSet's XML layout.

    Raises:
        UnparseableError: it is none, or not a safe one.
    """
    document = parse_transcript(data, path=path, limits=XmlLimits(max_bytes=max_bytes))
    return ParsedFile(read_path(path).entity_id, document)


PARSERS: Mapping[str, Parse] = {"transcript_xml": parse_transcript_xml}
