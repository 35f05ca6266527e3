"""Foreign XML to a small tree, with expat and without trust.

expat is the fastest and strictest parser at hand: no external entity is ever fetched, and a
document type declaration, without which no entity can be defined, is refused at its first
character. What expat does not limit (depth, number of elements, size) is limited here.
"""

import pyexpat
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingestor.errors import (
    DocumentTooLargeError,
    OutdatedParserError,
    UnparseableError,
    UnsafeDocumentError,
)

OLDEST_SAFE_EXPAT = (2, 4, 1)
"""The first version that stops entity amplification by itself."""

MAX_NAMES = 500
"""Of one document; the layout has three dozen."""

_SEPARATOR = " "  # no name and no namespace has one
_BUFFER_BYTES = 64 * 1024  # text arrives in few pieces


@dataclass(frozen=True, slots=True)
class XmlLimits:
    """How much of a document is read before it is refused."""

    max_bytes: int = 50 * 1024 * 1024
    max_depth: int = 64
    """The layout nests eight deep."""

    max_nodes: int = 100_000
    """Elements and attributes; the longest calls have a few thousand."""


@dataclass(slots=True)
class Element:
    """One element by its local name: a namespace, or none, makes no difference."""

    name: str
    attributes: dict[str, str]
    content: list["Element | str"] = field(default_factory=list)
    """Text and elements in document order: a paragraph may hold both."""

    @property
    def elements(self) -> Iterator["Element"]:
        """The child elements."""
        return (item for item in self.content if isinstance(item, Element))

    def descendants(self, name: str) -> list["Element"]:
        """Return the outermost elements of that name below this one, in document order."""
        found: list[Element] = []
        _collect(self, name, found)
        return found

    @property
    def text(self) -> str:
        """All text below this element, in document order."""
        return "".join(item if isinstance(item, str) else item.text for item in self.content)


def _collect(parent: Element, name: str, found: list[Element]) -> None:
    for item in parent.content:
        if isinstance(item, str):
            continue
        if item.name == name:
            found.append(item)
        else:
            _collect(item, name, found)


@dataclass(frozen=True, slots=True)
class Document:
    """A tree, and the names that it is made of."""

    root: Element
    names: frozenset[str]
    """`element` and `element@attribute`, by local name, at most `MAX_NAMES`."""


def check_expat(version: tuple[int, int, int] = pyexpat.version_info) -> None:
    """Refuse to start on a machine whose expat is known to be unsafe.

    Raises:
        OutdatedParserError: it is older than `OLDEST_SAFE_EXPAT`.
    """
    if version < OLDEST_SAFE_EXPAT:
        found, needed = (".".join(map(str, item)) for item in (version, OLDEST_SAFE_EXPAT))
        raise OutdatedParserError(f"expat {found} is installed, {needed} or later is needed")


def read_tree(data: bytes, limits: XmlLimits) -> Element:
    """Return the tree of a document; raises as `read_document`."""
    return read_document(data, limits).root


def read_document(data: bytes, limits: XmlLimits) -> Document:
    """Parse a document.

    Raises:
        DocumentTooLargeError: it has more than `limits.max_bytes`.
        UnsafeDocumentError: it declares a document type, or breaks another limit.
        UnparseableError: it is not well-formed, or its encoding is unknown.
    """
    if len(data) > limits.max_bytes:
        raise DocumentTooLargeError(
            f"the document has {len(data)} bytes, the limit is {limits.max_bytes}"
        )
    builder = _Builder(limits)
    try:
        builder.parser().Parse(data, True)
    except pyexpat.ExpatError as error:
        raise UnparseableError(f"the document is not well-formed XML: {error}") from error
    except (LookupError, ValueError) as error:
        # Unknown encodings, and multi-byte ones other than UTF-8 and UTF-16.
        raise UnparseableError(f"the document's encoding cannot be read: {error}") from error
    return Document(builder.root, builder.names)


class _Builder:
    """Puts the tree together from expat's callbacks."""

    def __init__(self, limits: XmlLimits) -> None:
        self._limits = limits
        self._document = Element("", {})
        self._open = [self._document]
        self._nodes = 0
        self._kinds: set[tuple[str, ...]] = set()

    def parser(self) -> pyexpat.XMLParserType:
        """Return a parser that calls this builder, and that the builder does not know.

        If they knew each other, every document would wait for the garbage collector.
        """
        parser = pyexpat.ParserCreate(namespace_separator=_SEPARATOR)
        parser.buffer_size = _BUFFER_BYTES
        parser.buffer_text = True
        parser.SetParamEntityParsing(pyexpat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        return parser

    @property
    def root(self) -> Element:
        return next(self._document.elements)

    @property
    def names(self) -> frozenset[str]:
        found = {
            name
            for element, *attributes in self._kinds
            for name in (element, *(f"{element}@{attribute}" for attribute in attributes))
        }
        return frozenset(sorted(found)[:MAX_NAMES])

    def _refuse_doctype(self, *_: object) -> None:
        raise UnsafeDocumentError("the document declares a document type (DOCTYPE)")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._nodes += 1 + len(attributes)
        if self._nodes > self._limits.max_nodes:
            raise UnsafeDocumentError(
                f"the document has more than {self._limits.max_nodes} elements and attributes"
            )
        if len(self._open) > self._limits.max_depth:
            raise UnsafeDocumentError(
                f"the document nests deeper than {self._limits.max_depth} elements"
            )
        if any(_SEPARATOR in key for key in attributes):
            attributes = {_local(key): value for key, value in attributes.items()}
        element = Element(_local(name), attributes)
        self._kinds.add((element.name, *attributes))
        self._open[-1].content.append(element)
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].content.append(text)


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]
