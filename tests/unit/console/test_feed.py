import asyncio

import pytest

from chassis.errors import UnavailableError
from console.handlers import feed as module
from console.handlers.feed import Feed
from console.ports.changes import Announce


class FakeChanges:
    """Fails the first times, then announces what it was given."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def watch(self, announce: Announce) -> None:
        if self.failures:
            self.failures -= 1
            raise UnavailableError
        announce("runs")
        await asyncio.Event().wait()


def _feed() -> Feed:
    return Feed(FakeChanges(0))


async def test_a_slow_listener_is_told_once_what_changed() -> None:
    feed = _feed()
    with feed.listen() as listener:
        for what in ("runs", "drifts", "runs"):
            feed.announce(what)
        assert [change.what for change in await listener.next()] == ["drifts", "runs"]
        assert listener.pending == {}


async def test_who_comes_back_is_told_what_was_missed() -> None:
    feed = _feed()
    with feed.listen() as listener:
        feed.announce("runs")
        (first,) = await listener.next()
    feed.announce("drifts")
    with feed.listen(first.id) as listener:
        assert [change.what for change in await listener.next()] == ["drifts"]


async def test_who_was_elsewhere_is_told_that_anything_may_have_changed() -> None:
    with _feed().listen("another-7") as listener:
        changed = [change.what for change in await listener.next()]
    assert changed == ["runs", "dead-letters", "drifts"]


async def test_who_has_just_come_has_missed_nothing() -> None:
    feed = _feed()
    feed.announce("runs")
    with feed.listen() as listener:
        assert listener.pending == {}


async def test_a_lost_source_is_watched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CAP_SECONDS", 0.0)
    feed = Feed(FakeChanges(failures=3))
    with feed.listen() as listener:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(feed.run())
            assert [change.what for change in await listener.next()] == ["runs"]
            task.cancel()
