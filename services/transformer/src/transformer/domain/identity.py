"""Which records are one entity: a pure function of records and their keys.

Records that share a key value are linked; an entity is what hangs together. Two guards keep it
from growing together wrongly: a value that too many records have (`Refused.COMMON`) and one that
would join records that contradict each other (`Refused.CONTRADICTION`) link nothing at all, so no
link depends on which of several doubtful ones came first. Keys act strongest first: what a strong
key has joined, a weaker one cannot tear apart.

An entity is called like its oldest record, the anchor, whatever joins it later. So ids stay, and
are still a function of what bronze holds.
"""

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

KeyValue: TypeAlias = tuple[str, str]
"""A key's name and a value of it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What identity knows about one record of bronze; a deleted one keeps its last keys."""

    record_id: str
    """Bronze's entity id."""

    order: int
    """Bronze's id of its first version: the lower, the older."""

    keys: frozenset[KeyValue] = frozenset()
    exclusive: frozenset[KeyValue] = frozenset()
    """Values of which an entity has one, by name."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a record belongs."""

    record_id: str
    entity_id: str
    """The anchor's record id."""

    group_id: str
    """The oldest of all records that keys could reach, contradictions aside: a change of one
    record can matter to its group only."""

    rule: str | None = None
    """The key that ties it to the entity; the anchor has none."""

    linked_to: str | None = None
    """The record with which it shares that key."""


class Refused(StrEnum):
    """Why a key value links nothing."""

    COMMON = "common"
    """More records have it than the rules allow."""

    CONTRADICTION = "contradiction"
    """It would join records that differ in an exclusive value."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A key value that links nothing."""

    key: KeyValue
    reason: Refused
    records: tuple[str, ...]
    """Who has it, oldest first, as far as known here."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The identity of some records."""

    links: Mapping[str, Link]
    """By record id."""

    contradictions: tuple[Refusal, ...] = ()


def link(levels: Sequence[str], records: Iterable[Record], common: AbstractSet[KeyValue]) -> Linked:
    """Decide which records are one entity.

    Args:
        levels: The names of the keys that count, strongest first.
        records: All records of some groups, in any order.
        common: Key values that link nothing because too many records have them.
    """
    ordered = sorted(records, key=lambda record: (record.order, record.record_id))
    holders = _holders(levels, ordered, common)
    groups = _Sets(len(ordered))
    for found in holders.values():
        groups.join(found)
    entities = _Entities(ordered)
    refused: set[KeyValue] = set()
    for level in levels:
        candidates = {key: found for key, found in holders.items() if key[0] == level}
        refused |= entities.join_level(candidates)
    allowed = {key: found for key, found in holders.items() if key not in refused}
    place = {level: index for index, level in enumerate(levels)}
    links: dict[str, Link] = {}
    for anchor, ties in _trees(entities.sets, allowed, place):
        for index, (rule, other) in ties.items():
            links[ordered[index].record_id] = Link(
                record_id=ordered[index].record_id,
                entity_id=ordered[anchor].record_id,
                group_id=ordered[groups.find(index)].record_id,
                rule=rule,
                linked_to=None if other is None else ordered[other].record_id,
            )
    return Linked(
        links,
        tuple(
            Refusal(
                key, Refused.CONTRADICTION, tuple(ordered[item].record_id for item in holders[key])
            )
            for key in sorted(refused)
        ),
    )


def _holders(
    levels: Sequence[str], ordered: Sequence[Record], common: AbstractSet[KeyValue]
) -> dict[KeyValue, list[int]]:
    """Return who has each value that can link, as places in order."""
    found: dict[KeyValue, list[int]] = defaultdict(list)
    for index, record in enumerate(ordered):
        for key in record.keys:
            if key[0] in levels and key not in common:
                found[key].append(index)
    return {key: places for key, places in found.items() if len(places) > 1}


class _Sets:
    """Disjoint sets of places; each is called like its lowest member."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def find(self, index: int) -> int:
        parents = self._parents
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    def join(self, indices: Collection[int]) -> int:
        roots = sorted({self.find(index) for index in indices})
        for root in roots[1:]:
            self._parents[root] = roots[0]
        return roots[0]

    def members(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self._parents)):
            found[self.find(index)].append(index)
        return found


@dataclass(slots=True)
class _Entities:
    """What has been joined so far, with the exclusive values of each."""

    records: Sequence[Record]
    sets: _Sets = field(init=False)
    _exclusive: dict[int, AbstractSet[KeyValue]] = field(init=False)

    def __post_init__(self) -> None:
        self.sets = _Sets(len(self.records))
        self._exclusive = {index: item.exclusive for index, item in enumerate(self.records)}

    def join_level(self, candidates: Mapping[KeyValue, Sequence[int]]) -> set[KeyValue]:
        """Join by all values of one key; return those that must not join anything.

        First go the values that contradict by themselves; then, of what hangs together through
        the others, all that would contradict together: none of them is better than another.
        """
        spans = {key: {self.sets.find(item) for item in found} for key, found in candidates.items()}
        open_spans = {key: roots for key, roots in spans.items() if len(roots) > 1}
        refused = {key for key, roots in open_spans.items() if self._contradict(roots)}
        for cluster in _clusters({k: v for k, v in open_spans.items() if k not in refused}):
            roots = set().union(*(open_spans[key] for key in cluster))
            if self._contradict(roots):
                refused.update(cluster)
            else:
                values = set().union(*(self._exclusive[root] for root in roots))
                self._exclusive[self.sets.join(roots)] = values
        return refused

    def _contradict(self, roots: Collection[int]) -> bool:
        values = set().union(*(self._exclusive[root] for root in roots))
        return len({name for name, _ in values}) < len(values)


def _clusters(spans: Mapping[KeyValue, AbstractSet[int]]) -> Iterator[list[KeyValue]]:
    """Yield the key values that overlap, directly or through others."""
    places = {root: place for place, root in enumerate(sorted(set().union(*spans.values())))}
    sets = _Sets(len(places))
    for roots in spans.values():
        sets.join([places[root] for root in roots])
    clusters: dict[int, list[KeyValue]] = defaultdict(list)
    for key, roots in spans.items():
        clusters[sets.find(places[min(roots)])].append(key)
    yield from clusters.values()


_Ties: TypeAlias = dict[int, tuple[str | None, int | None]]


def _trees(
    sets: _Sets, holders: Mapping[KeyValue, Sequence[int]], place: Mapping[str, int]
) -> Iterator[tuple[int, _Ties]]:
    """Yield for every entity its anchor, and what ties each member to the rest.

    The ties are a tree from the anchor on, along the strongest keys there are: a weak key is
    named exactly where nothing better holds the entity together.
    """
    keys_of: dict[int, list[KeyValue]] = defaultdict(list)
    for key, found in holders.items():
        for index in found:
            keys_of[index].append(key)
    for anchor in sets.members():
        ties: _Ties = {anchor: (None, None)}
        queue = [(place[key[0]], key, anchor) for key in keys_of[anchor]]
        heapq.heapify(queue)
        while queue:
            strength, key, via = heapq.heappop(queue)
            nearest = next((item for item in holders[key] if item not in ties), None)
            if nearest is None:
                continue
            ties[nearest] = (key[0], via)
            # One at a time: the next may hang on the new one by something stronger.
            heapq.heappush(queue, (strength, key, via))
            for other in keys_of[nearest]:
                heapq.heappush(queue, (place[other[0]], other, nearest))
        yield anchor, ties
