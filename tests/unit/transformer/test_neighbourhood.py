"""Looking at touched groups only gives the same as looking at everything."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from transformer.domain.identity import KeyValue, Link, Record, Refused, link
from transformer.domain.neighbourhood import Known, Resolution, reached, resolve

LIMITS = {"strong": 4, "weak": 2}


@dataclass(slots=True)
class Memory:
    """What a store keeps, and its answers; says how many records it was asked for."""

    records: dict[str, Record] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    common: dict[KeyValue, tuple[str, ...]] = field(default_factory=dict)
    loaded: int = 0

    def change(self, *changes: Record) -> Resolution:
        changed = {item.record_id: item for item in changes}
        holders = self._holders(changed)
        near = reached(LIMITS, changed.keys(), holders)
        resolution = resolve(LIMITS, changed, holders=holders, known=self._known(near))
        self.records.update(changed)
        self.links.update({item.record_id: item for item in resolution.moved})
        for key in resolution.settled & self.common.keys():
            del self.common[key]
        self.common |= {
            item.key: item.records for item in resolution.refusals if item.reason is Refused.COMMON
        }
        return resolution

    def _holders(self, changed: Mapping[str, Record]) -> dict[KeyValue, list[str]]:
        before = [self.records[key].keys for key in changed if key in self.records]
        wanted = frozenset[KeyValue]().union(*before, *(item.keys for item in changed.values()))
        return {
            key: sorted(
                item.record_id
                for item in self.records.values()
                if key in item.keys and item.record_id not in changed
            )[: LIMITS[key[0]] + 1]
            for key in wanted
        }

    def _known(self, near: set[str]) -> dict[str, Known]:
        groups = {self.links[key].group_id for key in near if key in self.links}
        found = {
            key: Known(self.records[key], item, self.records[key].keys & self.common.keys())
            for key, item in self.links.items()
            if item.group_id in groups
        }
        self.loaded = len(found)
        return found

    def entities(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for item in self.links.values():
            found.setdefault(item.entity_id, set()).add(item.record_id)
        return found


KEYS = st.sets(st.tuples(st.sampled_from(sorted(LIMITS)), st.sampled_from("abc")), max_size=3)
CHANGE = st.builds(
    lambda number, keys, exclusive: Record(
        f"r{number}",
        number,
        frozenset(keys),
        frozenset({("id", exclusive)}) if exclusive else frozenset(),
    ),
    st.integers(0, 7),
    KEYS,
    st.sampled_from(["", "", "1", "2"]),
)
BATCHES = st.lists(
    st.lists(CHANGE, min_size=1, max_size=4, unique_by=lambda item: item.record_id), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(BATCHES)
def test_any_sequence_of_changes_ends_where_all_at_once_ends(batches: list[list[Record]]) -> None:
    memory = Memory()
    for batch in batches:
        before = memory.entities()
        resolution = memory.change(*batch)
        after = memory.entities()
        moved = {key for key in before.keys() | after if before.get(key) != after.get(key)}
        assert moved <= resolution.affected
        assert {key: set(items) for key, items in resolution.members().items() if items} == {
            key: after[key] for key in resolution.affected if key in after
        }
    records = memory.records.values()
    holders: dict[KeyValue, list[str]] = {}
    for item in records:
        for key in item.keys:
            holders.setdefault(key, []).append(item.record_id)
    common = {
        key: tuple(sorted(found)[: LIMITS[key[0]] + 1])
        for key, found in holders.items()
        if len(found) > LIMITS[key[0]]
    }
    assert memory.common == common
    assert memory.links == dict(link(tuple(LIMITS), records, common.keys()).links)


def test_a_change_looks_at_its_own_group_only() -> None:
    memory = Memory()
    for number in range(100):
        memory.change(Record(f"r{number}", number, frozenset({("strong", str(number // 2))})))
    resolution = memory.change(Record("r100", 100, frozenset({("strong", "7")})))
    assert memory.loaded == 2
    assert resolution.affected == {"r14"}
    assert resolution.members() == {"r14": ["r14", "r15", "r100"]}


def test_a_value_that_is_and_stays_common_leads_to_nobody() -> None:
    memory = Memory()
    everybody = frozenset({("weak", "info")})
    for number in range(50):
        memory.change(Record(f"r{number}", number, everybody))
    memory.change(Record("r50", 50, everybody))
    assert memory.loaded == 0
    assert memory.common == {("weak", "info"): ("r0", "r1", "r10")}
