"""A transcript file to structured JSON: who took part, and who said what, in order.

Elements are matched by local name wherever they stand, because deliveries differ: with a namespace
or without, wrapped in a collection, `participants` inside `participants`, names as attributes,
paragraphs without a list. Unknown attributes are kept.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ingestor.domain.transcripts.filenames import FileFacts, read_path
from ingestor.domain.transcripts.text import clean
from ingestor.domain.transcripts.tree import Element, XmlLimits, read_tree
from ingestor.errors import UnparseableError, UnrecognisedError

_QUARTER = re.compile(r"\bQ([1-4])\s+(20[0-9]{2})\b", re.IGNORECASE)
_YEAR = re.compile(r"\b(20[0-9]{2})\b")
VOCABULARY: Mapping[str, tuple[str, ...]] = {
    "TranscriptsCollection": (),
    "transcript": ("id", "product"),
    "meta": (),
    "title": (),
    "date": (),
    "companies": (),
    "company": (),
    "participants": ("id",),
    "participant": ("id", "name", "type", "affiliation", "affiliation_entity", "title", "entity"),
    "body": (),
    "section": ("name",),
    "speaker": ("id", "type"),
    "plist": (),
    "p": (),
}
"""Elements and attributes that the layout is known to have; not every call has all of them."""

_PERSON = ("type", "affiliation", "affiliation_entity", "title", "entity")


def parse_transcript(data: bytes, *, path: str, limits: XmlLimits) -> dict[str, Any]:
    """Parse a transcript; equal bytes at an equal path give an equal result.

    Args:
        data: The file.
        path: Where it lies on its source; its parts are facts about the call.
        limits: Beyond them the document is refused.

    Raises:
        UnparseableError: it is not well-formed, not safe, or no single transcript.
        DocumentTooLargeError: it is over the size limit.
    """
    return transcript_document(read_tree(data, limits), path=path)


def transcript_document(root: Element, *, path: str) -> dict[str, Any]:
    """Return what a tree says.

    Raises:
        UnrecognisedError: it holds no transcript.
        UnparseableError: it holds several.
    """
    transcript = _only_transcript(root)
    file = read_path(path)
    title = _text_of(transcript, "title")
    quarter, year = _fiscal_quarter(title)
    product = _attribute(transcript, "product")
    return {
        "transcript_id": _attribute(transcript, "id"),
        "product": product,
        "transcript_type": _transcript_type(file, product),
        "title": title,
        "quarter": quarter,
        "year": year,
        "date": _text_of(transcript, "date"),
        "companies": [
            text for item in _in_head(transcript, "company") if (text := clean(item.text))
        ],
        "participants": [_participant(item) for item in _people(transcript)],
        "sections": _sections(transcript),
        "file": asdict(file),
        **_others(transcript, "id", "product"),
    }


def _only_transcript(root: Element) -> Element:
    found = [root] if root.name == "transcript" else root.descendants("transcript")
    if not found:
        raise UnrecognisedError(
            "the document holds 0 `transcript` elements, not one", root=root.name[:100]
        )
    if len(found) > 1:
        raise UnparseableError(
            f"the document holds {len(found)} `transcript` elements, not one", root=root.name[:100]
        )
    return found[0]


def _transcript_type(file: FileFacts, product: str | None) -> str | None:
    """The file's name says it; files outside the naming scheme leave it to the product."""
    if file.type or not product:
        return file.type
    found = product.lower()
    if "correct" in found:
        return "Corrected"
    return "Raw" if "raw" in found else None


def _fiscal_quarter(title: str | None) -> tuple[int | None, int | None]:
    """Read the quarter and the year that the company reports on; the call is held later."""
    if match := _QUARTER.search(title or ""):
        return int(match[1]), int(match[2])
    years = set(_YEAR.findall(title or ""))
    return None, int(years.pop()) if len(years) == 1 else None


def _people(transcript: Element) -> Iterator[Element]:
    """Yield the participants; in one layout the list and its items share a name."""
    for element in transcript.elements:
        if element.name == "participant" or (
            element.name == "participants" and "id" in element.attributes
        ):
            yield element
        elif element.name != "body":
            yield from _people(element)


def _participant(element: Element) -> dict[str, Any]:
    name = clean(element.text) or _attribute(element, "name")
    known = {key: _attribute(element, key) for key in _PERSON}
    person = {"id": _attribute(element, "id"), "name": name, **known}
    return person | {
        key: clean(element.attributes[key]) for key in element.attributes.keys() - person
    }


def _sections(transcript: Element) -> list[dict[str, Any]]:
    sections: list[dict[str, Any]] = []
    for body in transcript.descendants("body"):
        _collect_sections(body, sections)
    return sections


def _collect_sections(parent: Element, sections: list[dict[str, Any]]) -> None:
    """Keep document order, and speakers that stand outside any section."""
    is_open = False
    for element in parent.elements:
        if element.name == "speaker":
            if not is_open:
                sections.append({"name": None, "turns": []})
            is_open = True
            sections[-1]["turns"].append(_turn(element))
        elif element.name == "section":
            is_open = False
            sections.append(
                {
                    "name": _attribute(element, "name"),
                    "turns": [_turn(speaker) for speaker in element.descendants("speaker")],
                    **_others(element, "name"),
                }
            )
        else:
            is_open = False
            _collect_sections(element, sections)


def _turn(speaker: Element) -> dict[str, Any]:
    kind = _attribute(speaker, "type")
    return {
        "speaker_id": _attribute(speaker, "id"),
        "speaker_type": kind.lower() if kind else None,
        "paragraphs": _paragraphs(speaker),
        **_others(speaker, "id", "type"),
    }


def _paragraphs(speaker: Element) -> list[str]:
    """Return what was said; blank paragraphs say nothing, text without a `p` is not lost."""
    found = speaker.descendants("p")
    texts = [item.text for item in found] if found else [speaker.text]
    return [text for raw in texts if (text := clean(raw))]


def _in_head(transcript: Element, name: str) -> Iterator[Element]:
    """Yield the elements of that name outside what was said."""
    for part in transcript.elements:
        if part.name == name:
            yield part
        elif part.name != "body":
            yield from part.descendants(name)


def _text_of(transcript: Element, name: str) -> str | None:
    found = next(_in_head(transcript, name), None)
    return (clean(found.text) or None) if found else None


def _attribute(element: Element, name: str) -> str | None:
    return clean(element.attributes.get(name, "")) or None


def _others(element: Element, *known: str) -> dict[str, dict[str, str]]:
    """Keep attributes that nobody has named yet, apart from those that somebody has."""
    rest = {key: clean(value) for key, value in element.attributes.items() if key not in known}
    return {"attributes": rest} if rest else {}
