"""What a change of some records means for the identity of others: only groups that are touched
by old or new keys of the changed records are looked at, and each of them entirely.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from transformer.domain.identity import KeyValue, Link, Record, Refusal, Refused, link


@dataclass(frozen=True, slots=True)
class Known:
    """A record as it was linked before the change."""

    record: Record
    link: Link
    common: frozenset[KeyValue] = frozenset()
    """Those of its keys that link nothing because too many records have them."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The identity of all records in the groups that a change touches."""

    records: Mapping[str, Record]
    links: Mapping[str, Link]
    moved: tuple[Link, ...]
    """Those that differ from what was known."""

    affected: frozenset[str]
    """Entities to recompute: of the changed records, and those that gained or lost members."""

    refusals: tuple[Refusal, ...]
    settled: frozenset[KeyValue]
    """Key values about which `refusals` says all there is to say."""

    def members(self) -> dict[str, list[str]]:
        """Return the records of every affected entity; none for one that is part of another."""
        found: dict[str, list[str]] = {entity_id: [] for entity_id in self.affected}
        for item in self.links.values():
            if item.entity_id in found:
                found[item.entity_id].append(item.record_id)
        return found


def resolve(
    limits: Mapping[str, int],
    changed: Mapping[str, Record],
    *,
    holders: Mapping[KeyValue, Sequence[str]],
    known: Mapping[str, Known],
) -> Resolution:
    """Compute the identity of changed records and of all that hangs together with them.

    Args:
        limits: How many records may have a value, by key, strongest first.
        changed: The records as they are now.
        holders: For every old and new key value of theirs, the other records that have it; one
            more than the limit stands for all further ones.
        known: Every record of every group to which a changed record or a holder belongs.
    """
    common = _common(limits, changed, holders)
    elsewhere = frozenset[KeyValue]().union(
        *(item.common for key, item in known.items() if key not in changed)
    ) - frozenset(holders)
    records = {**{key: item.record for key, item in known.items()}, **changed}
    linked = link(tuple(limits), records.values(), common.keys() | elsewhere)
    every_key = frozenset(holders).union(*(record.keys for record in records.values()))
    return Resolution(
        records=records,
        links=linked.links,
        moved=tuple(
            item
            for key, item in sorted(linked.links.items())
            if key not in known
            or known[key].link != item
            or known[key].record.exclusive != records[key].exclusive
        ),
        affected=_affected(changed, known, linked.links),
        refusals=(*common.values(), *linked.contradictions),
        settled=every_key - elsewhere,
    )


def _common(
    limits: Mapping[str, int],
    changed: Mapping[str, Record],
    holders: Mapping[KeyValue, Sequence[str]],
) -> dict[KeyValue, Refusal]:
    mine: dict[KeyValue, list[str]] = defaultdict(list)
    for record in changed.values():
        for key in record.keys:
            mine[key].append(record.record_id)
    found = {key: (*others, *mine.get(key, ())) for key, others in holders.items()}
    return {
        key: Refusal(key, Refused.COMMON, tuple(sorted(have)[: limits[key[0]] + 1]))
        for key, have in sorted(found.items())
        if len(have) > limits[key[0]]
    }


def _affected(
    changed: Mapping[str, Record], known: Mapping[str, Known], links: Mapping[str, Link]
) -> frozenset[str]:
    affected: set[str] = set()
    for key, item in links.items():
        before = known[key].link.entity_id if key in known else item.entity_id
        if key in changed or before != item.entity_id:
            affected |= {before, item.entity_id}
    return frozenset(affected)


def reached(
    limits: Mapping[str, int],
    changed: AbstractSet[str],
    holders: Mapping[KeyValue, Sequence[str]],
) -> set[str]:
    """Return the records whose groups a change can touch.

    A value that was common and stays so touches nobody: more others have it than the limit.
    """
    near = (others for key, others in holders.items() if len(others) <= limits[key[0]])
    return set(changed).union(*near)
