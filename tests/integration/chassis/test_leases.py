"""At most one holder's effects are committed, whatever the holder's pauses (real PostgreSQL)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable

import pytest

from chassis.db import Database
from chassis.errors import LeaseLostError, UnavailableError
from chassis.leases import Lease, acquire, guard, held, release, renew
from chassis.metrics import LEASE_HELD
from tests.support.databases import opened
from tests.support.eventually import eventually

IDLE_SECONDS = 1.0


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    async with opened(database_url, idle_timeout_seconds=IDLE_SECONDS) as one:
        async with one.connection() as connection:
            await connection.execute("create table effects (holder text)")
        yield one


async def take(database: Database, holder: str, *, ttl: float = 30) -> Lease:
    lease = await acquire(database, "job", holder=holder, ttl_seconds=ttl)
    assert lease is not None
    return lease


async def expire(database: Database) -> None:
    """Let the time of the lease pass, on the clock that counts."""
    async with database.connection() as connection:
        await connection.execute(
            "update meta.leases set expires_at = clock_timestamp() - interval '1 second'"
        )


async def write(database: Database, lease: Lease, pause: Awaitable[object] | None = None) -> None:
    """Do what every fenced effect does: guard first, then write, then commit."""
    async with database.transaction() as transaction:
        await guard(transaction.connection, lease)
        await transaction.connection.execute("insert into effects values ($1)", lease.holder)
        if pause is not None:
            await pause


async def effects(database: Database) -> list[str]:
    async with database.connection() as connection:
        rows = await connection.fetch("select holder from effects")
    return [row["holder"] for row in rows]


# --- taking, renewing, giving back


async def test_of_many_candidates_one_gets_the_lease(database: Database) -> None:
    results = await asyncio.gather(
        *(acquire(database, "job", holder=f"h{number}") for number in range(12))
    )

    assert [lease.token for lease in results if lease is not None] == [1]


async def test_a_held_lease_is_not_given_to_its_own_holder_either(database: Database) -> None:
    await take(database, "a")

    assert await acquire(database, "job", holder="a") is None


async def test_every_holder_has_a_higher_token(database: Database) -> None:
    tokens = []
    for holder in ("a", "b", "a"):
        lease = await take(database, holder)
        tokens.append(lease.token)
        await release(database, lease)

    assert tokens == [1, 2, 3]


async def test_leases_of_different_names_are_independent(database: Database) -> None:
    await take(database, "a")

    assert await acquire(database, "another", holder="a") == Lease("another", "a", 1)


async def test_a_renewed_lease_is_not_taken_over(database: Database) -> None:
    lease = await take(database, "a", ttl=0.3)
    for _ in range(4):
        await asyncio.sleep(0.1)
        await renew(database, lease, ttl_seconds=0.3)

    assert await acquire(database, "job", holder="b") is None


async def test_renewing_a_lost_lease_says_so_and_changes_nothing(database: Database) -> None:
    old = await take(database, "a")
    await expire(database)
    new = await take(database, "b", ttl=0.4)

    with pytest.raises(LeaseLostError):
        await renew(database, old)

    await asyncio.sleep(0.5)
    assert await acquire(database, "job", holder="c") == Lease("job", "c", new.token + 1)


async def test_giving_back_a_lost_lease_does_not_take_it_from_its_new_holder(
    database: Database,
) -> None:
    old = await take(database, "a")
    await expire(database)
    await take(database, "b")

    await release(database, old)

    assert await acquire(database, "job", holder="c") is None


# --- fencing: a holder that is paused


async def test_a_holder_paused_before_its_transaction_writes_nothing(database: Database) -> None:
    old = await take(database, "old")
    await expire(database)
    new = await take(database, "new")

    with pytest.raises(LeaseLostError):
        await write(database, old)
    await write(database, new)

    assert await effects(database) == ["new"]


async def test_a_holder_paused_inside_its_transaction_is_ended_and_writes_nothing(
    database: Database,
) -> None:
    old = await take(database, "old")
    paused, forever = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        paused.set()
        await forever.wait()

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(_outcome(write(database, old, sleep())))
        await paused.wait()
        await expire(database)
        started = asyncio.get_running_loop().time()
        new = await take(database, "new")
        waited = asyncio.get_running_loop().time() - started
        forever.set()
        assert isinstance(await writing, UnavailableError)

    assert 0.3 < waited < IDLE_SECONDS + 3, "the take-over waited for the end of the transaction"
    await write(database, new)
    assert await effects(database) == ["new"]


async def test_a_take_over_waits_for_a_commit_that_is_under_way(database: Database) -> None:
    old = await take(database, "old")
    paused, go_on = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        paused.set()
        await go_on.wait()

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write(database, old, sleep()))
        await paused.wait()
        await expire(database)
        taking = group.create_task(take(database, "new"))
        await asyncio.sleep(0.3)
        assert not taking.done()
        assert await effects(database) == []
        go_on.set()
        await writing
        assert (await taking).token == 2

    assert await effects(database) == ["old"], "committed before the take-over, not after"


async def test_without_its_second_key_a_late_commit_would_pass(database: Database) -> None:
    """The negative control: the tests above can see the failure that the key prevents."""
    async with database.connection() as connection:
        await connection.execute("alter table meta.leases drop constraint leases_name_token_key")
    old = await take(database, "old")
    paused, go_on = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        paused.set()
        await go_on.wait()

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write(database, old, sleep()))
        await paused.wait()
        await expire(database)
        async with asyncio.timeout(IDLE_SECONDS / 2):
            await take(database, "new")
        go_on.set()
        await writing

    assert await effects(database) == ["old"], "committed after the take-over"


async def test_a_holder_renews_while_its_own_transaction_is_open(database: Database) -> None:
    lease = await take(database, "a")

    async with database.transaction() as transaction:
        await guard(transaction.connection, lease)
        async with asyncio.timeout(0.5):
            await renew(database, lease)


async def test_with_a_stronger_lock_the_holder_would_block_its_own_renewal(
    database: Database,
) -> None:
    """The negative control of the test above."""
    lease = await take(database, "a")

    async with database.transaction() as transaction:
        await transaction.connection.execute("select 1 from meta.leases for share")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await renew(database, lease)


async def test_a_waiting_candidate_gets_its_answer_while_the_holder_writes(
    database: Database,
) -> None:
    lease = await take(database, "a")

    async with database.transaction() as transaction:
        await guard(transaction.connection, lease)
        async with asyncio.timeout(0.5):
            assert await acquire(database, "job", holder="b") is None
            await renew(database, lease)


# --- held


async def test_a_held_lease_outlives_its_time_and_is_given_back_at_once(database: Database) -> None:
    async with held(database, "job", ttl_seconds=0.3) as lease:
        await asyncio.sleep(0.9)
        assert await acquire(database, "job", holder="b") is None
        await write(database, lease)

    assert (await take(database, "b")).token == 2


async def test_a_candidate_waits_for_the_holder(database: Database) -> None:
    order: list[str] = []

    async def work(name: str) -> None:
        async with held(database, "job", holder=name, poll_seconds=0.02):
            order.append(f"{name} in")
            await asyncio.sleep(0.1)
            order.append(f"{name} out")

    await asyncio.gather(*(work(name) for name in ("a", "b", "c")))

    assert sorted(order[::2]) == ["a in", "b in", "c in"]
    assert order[1::2] == [entry.replace(" in", " out") for entry in order[::2]]


async def steal(database: Database) -> None:
    await expire(database)
    await take(database, "thief")


async def test_the_body_is_cancelled_when_the_lease_is_lost(database: Database) -> None:
    reached: list[str] = []

    async def work() -> None:
        async with held(database, "job", ttl_seconds=0.6):
            await steal(database)
            try:
                await asyncio.sleep(10)
            finally:
                reached.append("cleaned up")
            reached.append("went on")

    with pytest.raises(LeaseLostError):
        async with asyncio.timeout(5):
            await work()
    assert reached == ["cleaned up"]


async def test_the_body_ends_with_the_lease_when_the_database_hangs(
    database_url: str, database: Database
) -> None:
    async def work() -> None:
        async with held(database, "job", ttl_seconds=0.6):
            started.set()
            await asyncio.sleep(30)

    started = asyncio.Event()
    async with (
        opened(database_url) as other,
        other.connection() as connection,
        asyncio.TaskGroup() as group,
    ):
        working = group.create_task(_outcome(work()))
        await started.wait()
        block = connection.transaction()
        await block.start()
        await connection.execute("select 1 from meta.leases for update")
        # The lease cannot be given back before the row is free; the body ends anyway.
        await eventually(lambda: LEASE_HELD.labels("job")._value.get() == 0, timeout=2)
        await block.rollback()
        assert isinstance(await working, LeaseLostError)


async def test_an_error_of_the_body_comes_out_as_it_was_raised(database: Database) -> None:
    cause = KeyError("the cause")

    async def work() -> None:
        async with held(database, "job"):
            raise ValueError("the body") from cause

    with pytest.raises(ValueError, match="the body") as raised:
        await work()
    assert raised.value.__cause__ is cause
    assert (await take(database, "b")).token == 2


async def test_a_body_that_is_cancelled_gives_the_lease_back(database: Database) -> None:
    started = asyncio.Event()

    async def work() -> None:
        async with held(database, "job"):
            started.set()
            await asyncio.sleep(30)

    async with asyncio.TaskGroup() as group:
        working = group.create_task(work())
        await started.wait()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working

    assert (await take(database, "b")).token == 2


async def _outcome(work: Awaitable[object]) -> Exception | None:
    try:
        await work
    except (LeaseLostError, UnavailableError) as error:
        return error
    return None
