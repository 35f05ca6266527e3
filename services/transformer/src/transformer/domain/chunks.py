"""How many entities are merged at a time: few large ones or many small ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """Bounds of one merge, and so of the memory it takes."""

    entities: int
    size_bytes: int
    """Of the documents; one entity that is larger goes alone."""

    def among(self, pages: int) -> "ChunkLimits":
        """Return the limits for each of several pages in progress.

        A page alone has two chunks in memory, pages side by side one each; either way the documents
        are those of two chunks.
        """
        return replace(self, size_bytes=max(1, self.size_bytes * 2 // max(2, pages)))


def cut(
    entity_ids: Sequence[str], sizes: Mapping[str, int], limits: ChunkLimits
) -> Iterator[list[str]]:
    """Yield the ids in order, in chunks within the limits."""
    chunk: list[str] = []
    total = 0
    for entity_id in entity_ids:
        size = sizes.get(entity_id, 0)
        if chunk and (len(chunk) >= limits.entities or total + size > limits.size_bytes):
            yield chunk
            chunk, total = [], 0
        chunk.append(entity_id)
        total += size
    if chunk:
        yield chunk
