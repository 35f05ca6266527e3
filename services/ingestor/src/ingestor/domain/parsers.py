"""Which parsers there are, by the name that configuration calls them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ingestor.domain.shapes import Shape
from ingestor.domain.transcripts.filenames import read_path
from ingestor.domain.transcripts.parsing import VOCABULARY, transcript_document
from ingestor.domain.transcripts.tree import XmlLimits, read_document
from ingestor.errors import UnrecognisedError


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What a file says, and of whom."""

    entity_id: str
    document: dict[str, Any]
    names: frozenset[str] = frozenset()
    """What the file is built of: elements and attributes."""


_TOLD_NAMES = 50
"""Of a document of another kind."""

Parse: TypeAlias = Callable[[bytes, str, int], ParsedFile]
"""From the bytes, the path and the size limit."""


def shape_of_names(names: Iterable[str]) -> Shape:
    """Return the shape of a document that is built of these elements and attributes."""
    return {name: "attribute" if "@" in name else "element" for name in names}


def parse_transcript_xml(data: bytes, path: str, max_bytes: int) -> ParsedFile:
    """Parse an earnings-call transcript in FactSet's XML layout.

    Raises:
        UnrecognisedError: it is some other document; its facts hold `names` of what is in it.
        UnparseableError: it is none, or not a safe one.
    """
    tree = read_document(data, XmlLimits(max_bytes=max_bytes))
    try:
        document = transcript_document(tree.root, path=path)
    except UnrecognisedError as error:
        names = sorted(tree.names)[:_TOLD_NAMES]
        raise UnrecognisedError(error.message, **error.facts, names=names) from error
    return ParsedFile(read_path(path).entity_id, document, tree.names)


PARSERS: Mapping[str, Parse] = {"transcript_xml": parse_transcript_xml}

ROOTS: Mapping[str, str] = {"transcript_xml": "transcript"}
"""The element that makes a document one of its kind."""

VOCABULARIES: Mapping[str, Shape] = {
    "transcript_xml": shape_of_names(
        name
        for element, attributes in VOCABULARY.items()
        for name in (element, *(f"{element}@{attribute}" for attribute in attributes))
    )
}
"""What a parser reads; nobody needs to be told of these names."""

DOCUMENT_FIELDS: Mapping[str, str] = {
    "company": "companies",
    "participant": "participants",
    **dict.fromkeys(("body", "section", "speaker", "plist", "p"), "sections"),
}
"""Element to the field of the document that it becomes, where they are not called alike."""
