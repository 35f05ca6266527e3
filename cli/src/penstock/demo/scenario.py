"""What the demo does to the share: which transcripts it lays, edits, breaks and takes away.

Files are chosen by what is in them, so that the example folder may change; what is done to them is
done here, in bytes, before anybody looks.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from penstock.demo.documents import Document, read_document
from penstock.stack import StackError

FEWEST_FILES = 7
"""Five that change alone, and a Raw and a Corrected document of one call."""

_EDIT = "Thank you, and let me correct what was said before. "

_BOMB = """\
<?xml version="1.0"?>
<!DOCTYPE transcript [
 <!ENTITY a0 "ha">
{entities}
]>
<transcript><meta><title>&a{last};</title></meta></transcript>
"""


class DemoError(StackError):
    """The demo cannot do what it was asked; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Every step, as paths and contents."""

    first: Mapping[str, bytes]
    """Laid on the empty share."""

    late: Mapping[str, bytes]
    """Added afterwards."""

    edited: Mapping[str, bytes]
    """Overwritten with another text."""

    touched: Mapping[str, bytes]
    """Written again as they were: an event, and no new version."""

    truncated: Mapping[str, bytes]
    """Overwritten with half of their bytes: a dead letter, and the last good version stays."""

    bombs: Mapping[str, bytes]
    """New files that would fill the memory of a careless parser."""

    removed: tuple[str, ...]
    """Taken away: the only document of a call, and the better one of two where there are two."""


def plan(examples: Mapping[str, bytes], *, count: int) -> Scenario:
    """Choose `count` of the example files and what happens to each.

    Raises:
        DemoError: `count` is too small, or larger than the number of examples.
    """
    if not FEWEST_FILES <= count <= len(examples):
        raise DemoError(
            f"The demo can show {FEWEST_FILES} to {len(examples)} files, not {count}: "
            "choose another number with --files."
        )
    chosen = _most_telling(examples, count)
    alone, pairs = _by_company(chosen)
    # The last pair, so that `chosen` may end in the middle of it.
    better = pairs[-1] if pairs else alone.pop()
    late, edited, touched, truncated, sole = (alone.pop() for _ in range(5))
    documents = {item.path: examples[item.path] for item in chosen}
    return Scenario(
        first={path: data for path, data in documents.items() if path != late.path},
        late={late.path: examples[late.path]},
        edited={edited.path: edit(examples[edited.path])},
        touched={touched.path: examples[touched.path]},
        truncated={truncated.path: truncate(examples[truncated.path])},
        bombs={bomb_path(sole): bomb()},
        removed=(sole.path, better.path),
    )


def edit(data: bytes) -> bytes:
    """Return a transcript in which the first speaker says a sentence more."""
    edited, count = re.subn(rb"<p>(?=\S)", b"<p>" + _EDIT.encode(), data, count=1)
    if count != 1:
        raise DemoError("An example transcript has no paragraph to edit.")
    return edited


def truncate(data: bytes) -> bytes:
    """Return what a broken connection leaves of a file."""
    return data.decode()[: len(data.decode()) // 2].encode()


def bomb(*, generations: int = 30) -> bytes:
    """Return a small document whose title expands to about two billion letters."""
    entities = "\n".join(
        f' <!ENTITY a{number} "&a{number - 1};&a{number - 1};">'
        for number in range(1, generations + 1)
    )
    return _BOMB.format(entities=entities, last=generations).encode()


def bomb_path(beside: Document) -> str:
    """Return a path in the folder of a transcript, named like a later version of it."""
    folder, _, name = beside.path.rpartition("/")
    stem, _, version = name.removesuffix(".xml").rpartition("_")
    return f"{folder}/{stem}_{int(version) + 1}.xml"


def _most_telling(examples: Mapping[str, bytes], count: int) -> list[Document]:
    """Return as many documents, pairs and single ones in turn, so that few show as much as many."""
    documents = [read_document(path, data) for path, data in sorted(examples.items())]
    alone, pairs = _by_company(documents)
    raw = {item.call: item for item in documents if item.kind == "Raw"}
    chosen = alone[: FEWEST_FILES - 2]
    queue = [item for better in pairs for item in (raw[better.call], better)]
    queue += [item for item in documents if item not in queue and item not in chosen]
    return sorted(chosen + queue[: count - len(chosen)], key=lambda item: item.path)


def _by_company(documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """Return Corrected documents: those of companies with one file, and those beside a Raw one."""
    files = Counter(item.ticker for item in documents)
    calls = Counter(item.call for item in documents)
    corrected = [item for item in documents if item.kind == "Corrected"]
    alone = [item for item in corrected if files[item.ticker] == 1]
    pairs = [item for item in corrected if calls[item.call] > 1]
    return alone, pairs
