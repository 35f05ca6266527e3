"""Tables with refreshes, and plans as the refresher makes them."""

import random
import uuid
from datetime import timedelta

from chassis.db import Connection
from refresher.domain.catalog import Column, TypeKind
from refresher.domain.pgsql import PostgresDialect
from refresher.domain.plan import to_json
from refresher.domain.planner import Request, make_plan
from tests.support.console_seed.ledger import HOSTILE, NOW, PEOPLE, add_run, naughty
from tests.unit.refresher.tables import catalog, config, findings, reference, table

_TABLES = ("countries", "customers", "orders", "order_items", "payments", "daily_reports", "audit")


async def seed_tables(connection: Connection) -> dict[str, str]:
    """Add tables with refreshes and plans; return the ids of the plans by their status."""
    chance = random.Random(2)
    for position, key in enumerate(_TABLES):
        await _table_state(connection, position, key, chance)
    for key in _TABLES[:-1]:
        for number in range(50, 0, -1):
            await _refresh(connection, key, number, chance)
    plans = {}
    for status, target in (("waiting", "orders"), ("applied", "customers"), ("refused", "all")):
        plans[status] = await _plan(connection, target, status)
    await add_run(
        connection,
        "refresher",
        "refresh-apply",
        "payments",
        status="running",
        requester="bert",
        counts={"processed": 412_000},
        total=1_000_000,
        message="payments: 412000 rows, 83 MB",
    )
    return plans


async def _table_state(
    connection: Connection, position: int, key: str, chance: random.Random
) -> None:
    rows = chance.choice([249, 10_412, 88_123, 961_003, 12_400_221])
    lag = chance.choice([0, 0, 12, 840])
    is_seen = key != "audit"
    settings = {
        "strategy": "simple_copy" if position % 3 else "staging_partition_switch",
        "sync_mode": ["full_replace", "smart_sync", "incremental"][position % 3],
        "incremental_column": "changed_at" if position % 3 else None,
        "incremental_type": "datetime" if position % 3 else None,
        "verify": "checksum",
        "max_row_drop": 0.3,
        "sweep_deletes": "weekly",
    }
    drift = ["+ loyalty_tier text: will be added"] if key == "customers" else []
    await connection.execute(
        "insert into refresher.table_states values "
        "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        key,
        position,
        settings,
        rows if is_seen else None,
        rows > 1_000_000,
        rows * 210 if is_seen else None,
        "9f86d081884c7d65" if is_seen else None,
        rows - lag if is_seen else None,
        rows > 1_000_000,
        rows * 190 if is_seen else None,
        ("2c26b46b68ffc68f" if drift else "9f86d081884c7d65") if is_seen else None,
        drift,
        None if is_seen else "source: connection refused by production.example.org:5432",
        NOW - timedelta(minutes=7) if is_seen else None,
    )


async def _refresh(connection: Connection, key: str, number: int, chance: random.Random) -> None:
    ago = timedelta(days=number, minutes=chance.randint(0, 90))
    seconds = chance.uniform(3, 240)
    failed = number % 17 == 0
    plan_id = str(uuid.uuid4())
    run_id = await add_run(
        connection,
        "refresher",
        "refresh",
        key,
        status="failed" if failed else "completed",
        ago=ago,
        seconds=seconds,
        requester=chance.choice(PEOPLE),
        reason=chance.choice(["nightly", "release 4.2", None, HOSTILE]),
        message="staging differs from the source: 3 rows" if failed else None,
    )
    if failed:
        return
    await connection.execute(
        "insert into refresher.plans (plan_id, run_id, target, status, plan, digest, requester, "
        "created_at, applied_at) values ($1, $2, $3, 'applied', '{}', 'd', 'schedule', $4, $4)",
        plan_id,
        run_id,
        key,
        NOW - ago,
    )
    rows = chance.randint(100, 90_000)
    await connection.execute(
        "insert into refresher.refreshes (plan_id, run_id, table_key, asked_mode, mode, "
        "mode_reason, strategy, swap, window_low, window_high, watermark, is_sweep, rows_read, "
        "bytes_read, rows_inserted, rows_updated, rows_deleted, rows_kept, masked, phases, "
        "schema_hash, checksum, swap_attempts, finished_at) values ($1, $2, $3, 'smart_sync', "
        "'incremental', 'the last refresh is a day ago', 'simple_copy', 'merge', $4, $5, $6, "
        "false, $7, $8, $9, $10, $11, 2, $12, $13, '9f86d081884c7d65', '8123', 1, $14)",
        plan_id,
        run_id,
        key,
        (NOW - ago - timedelta(days=1)).isoformat(),
        (NOW - ago).isoformat(),
        {"type": "timestamptz", "text": (NOW - ago).isoformat()},
        rows,
        rows * 180,
        rows // 3,
        rows // 9,
        rows // 90,
        {"email": {"masked": rows, "empty": 0, "unchanged": 0}},
        {"read": seconds * 0.6, "build": seconds * 0.2, "verify": 1.1, "wait": 0.1, "lock": 0.04},
        NOW - ago + timedelta(seconds=seconds),
    )


async def _plan(connection: Connection, target: str, status: str) -> str:
    """Make a plan as the refresher does, and store it."""
    names = ["customers", "orders"]
    source = catalog(
        table("customers"),
        table(
            "orders",
            Column(name="id", type="integer", kind=TypeKind.INTEGER, is_nullable=False),
            Column(name="customers_id", type="integer", kind=TypeKind.INTEGER),
            Column(name="email", type="text", kind=TypeKind.TEXT),
            Column(name="note", type="text", kind=TypeKind.TEXT),
            foreign_keys=(reference("orders", "customers"),),
        ),
    )
    targets = catalog(
        table("customers"),
        table(
            "orders",
            Column(name="id", type="integer", kind=TypeKind.INTEGER, is_nullable=False),
            Column(name="customers_id", type="integer", kind=TypeKind.INTEGER),
            Column(name="email", type="text", kind=TypeKind.TEXT),
            Column(name="legacy_code", type="text", kind=TypeKind.TEXT),
            foreign_keys=(reference("orders", "customers"),),
        ),
    )
    keys = tuple(names) if target == "all" else (target,)
    plan = make_plan(
        config(*({"name": name} for name in names)),
        PostgresDialect(),
        request=Request(
            keys=keys,
            mode=None,
            row_limit=None,
            is_forced=False,
            is_test=False,
            has_key=status != "refused",
        ),
        findings=findings(source, targets, rows=88_123),
        plan_id=str(uuid.uuid4()),
        now=NOW,
    )
    run_id = await add_run(
        connection,
        "refresher",
        "refresh",
        target,
        requester="ann",
        reason="before release 4.3",
        ago=timedelta(minutes=25),
    )
    is_applied = status == "applied"
    await connection.execute(
        "insert into refresher.plans (plan_id, run_id, target, status, plan, digest, requester, "
        "reason, created_at, decided_by, decided_at, applied_at, undo_until) values "
        "($1, $2, $3, $4, $5::text::jsonb, 'd', 'ann', $6, $7, $8, $9, $9, $10)",
        plan.plan_id,
        run_id,
        target,
        status,
        to_json(plan),
        f"before release 4.3 {HOSTILE}",
        NOW - timedelta(minutes=25),
        "carla" if is_applied else None,
        NOW - timedelta(minutes=20) if is_applied else None,
        NOW + timedelta(hours=70) if is_applied else None,
    )
    return plan.plan_id


async def add_preview(
    connection: Connection, command_id: str, *, actor: str, key: str = "customers"
) -> None:
    """Add rows that a command of the console has asked for."""
    run_id = await add_run(
        connection, "refresher", "refresh-preview", key, requester=actor, command_id=command_id
    )
    await connection.execute(
        "insert into meta.commands (service, topic, command_id, target, requester, body, outcome, "
        "run_id) values ('refresher', 'refresh.preview-requested', $1, $2, $3, '{}', 'accepted', "
        "$4)",
        command_id,
        key,
        actor,
        run_id,
    )
    columns = [
        {"name": "id", "type": "integer", "mask": None},
        {"name": "last_name", "type": "character varying(80)", "mask": "person"},
        {"name": "email", "type": "text", "mask": "person"},
        {"name": "note", "type": "text", "mask": None},
        {"name": "joined", "type": "date", "mask": None},
    ]
    texts = [HOSTILE, *naughty()]
    rows = [
        [str(9000 - n), f"Qxvbt{n}", f"pw{n}@zkwmple.xrg", texts[n % len(texts)], "2024-03-01"]
        for n in range(50)
    ]
    rows[3][3] = None  # type: ignore[call-overload]
    await connection.execute(
        "insert into refresher.previews (run_id, table_key, side, requester, columns, rows, "
        "expires_at) values ($1, $2, 'source', $3, $4, $5, clock_timestamp() + interval '15 min')",
        run_id,
        key,
        actor,
        columns,
        rows,
    )
