"""Whatever a source tells, in whatever order and with whatever faults: whoever applies the events
has the source's records."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chassis.errors import UnavailableError
from tests.integration.scanner.record_harness import RecordHarness
from tests.support.record_sources import ScriptedSource

NAMES = st.sampled_from("abcdef")
STATES = st.dictionaries(NAMES, st.integers(0, 2), min_size=1, max_size=6)
FAULTS = st.sampled_from(["none", "none", "cut", "gap"])
STEPS = st.lists(st.tuples(STATES, FAULTS), min_size=1, max_size=4)


async def poll(harness: RecordHarness, state: dict[str, int], fault: str) -> tuple[list[Any], bool]:
    """Poll a source in that state; return the events, also of a poll that failed, and whether the
    source could be read to its end: one with a single page is not cut before its second.
    """
    source = ScriptedSource(page_size=2)
    harness.source = source
    harness.tell(**{name: {"v": value} for name, value in state.items()})
    source.gap = "stopped" if fault == "gap" else None

    def cut(page: int) -> None:
        if fault == "cut" and page == 1:
            raise UnavailableError

    source.before_page = cut
    harness.clock.advance(3600)
    try:
        return list((await harness.poll()).events), fault != "gap"
    except UnavailableError:
        return list(await harness.take_events()), False


async def story(harness: RecordHarness, steps: list[tuple[dict[str, int], str]]) -> None:
    async with harness.database.connection() as connection:
        await connection.execute(
            "truncate scanner.records, scanner.polls, scanner.poll_seen, scanner.due_records, "
            "scanner.held_deletions, meta.outbox"
        )
    believed: dict[str, int] = {}
    for state, fault in steps:
        before = dict(believed)
        events, is_whole = await poll(harness, state, fault)
        for event in events:
            if event.data.change.value == "deleted":
                assert is_whole, "nothing is deleted because a source could not be read"
                assert event.data.external_id not in state
                del believed[event.data.external_id]
            else:
                assert believed.get(event.data.external_id) != event.data.record["v"]
                believed[event.data.external_id] = event.data.record["v"]
        if is_whole or fault == "gap":
            assert state.items() <= believed.items()
        assert all(value in (before.get(key), state.get(key)) for key, value in believed.items())
    last = steps[-1][0]
    for _ in range(2):
        events, _ = await poll(harness, last, "none")
        for event in events:
            assert event.data.change.value == "deleted" or event.data.record is not None
            if event.data.change.value == "deleted":
                del believed[event.data.external_id]
            else:
                believed[event.data.external_id] = event.data.record["v"]
    assert believed == last


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
@example(steps=[({"a": 0, "b": 0}, "none"), ({"a": 0}, "none"), ({"a": 0}, "cut")])
def test_events_rebuild_the_source(
    shared_records: RecordHarness, runner: asyncio.Runner, steps: list[tuple[dict[str, int], str]]
) -> None:
    runner.run(story(shared_records, steps))
