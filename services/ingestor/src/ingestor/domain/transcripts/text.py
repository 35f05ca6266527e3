"""Spoken words as they were meant: one space between words, no left-over escapes."""

import html
import re
from html.entities import html5

# Only complete references: "R&D", "AT&T" and "Q&A;" are words, not escapes.
_REFERENCE = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def clean(text: str) -> str:
    """Undo a second round of escaping and fold white space.

    Some deliveries escape twice: `&amp;amp;` in the file is `&amp;` after parsing and `&` here.
    A reference that names nothing stays as it is.
    """
    if "&" in text:
        text = _REFERENCE.sub(_unescape, text)
    return " ".join(text.split())


def _unescape(match: re.Match[str]) -> str:
    reference = match[0]
    if reference[1] == "#":
        return html.unescape(reference)  # never a NUL, a surrogate or a control character
    return html5.get(reference[1:], reference)
