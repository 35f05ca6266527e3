"""Dead letters and changed schemas, in every state."""

import json
import random
import uuid
from datetime import timedelta

from chassis.db import Connection
from tests.support.console_seed.ledger import HOSTILE, NOW, naughty

_REASONS = (
    (
        "ingestor",
        "file.changed",
        "content_validation",
        "ParseError",
        "the document has no `<body>`",
    ),
    (
        "ingestor",
        "record.changed",
        "content_validation",
        "SchemaDriftError",
        "waits for a decision",
    ),
    ("transformer", "bronze.stored", "storage", "IntegrityError", "duplicate key value"),
    ("refresher", "refresh.requested", "config_validation", "PermanentError", "not configured"),
    ("wrds_sync", "wrds-sync.requested", "message_decode", "DecodeError", "is no JSON"),
)


async def seed_letters(connection: Connection, *, count: int = 260) -> list[uuid.UUID]:
    """Add dead letters of every kind; return their ids."""
    chance = random.Random(4)
    texts = [HOSTILE, *naughty()]
    ids = []
    for number in range(count):
        consumer, topic, category, error_class, message = chance.choices(
            _REASONS, weights=(8, 5, 3, 1, 1)
        )[0]
        failed_at = NOW - timedelta(minutes=chance.randint(1, 9000))
        status = chance.choices(("open", "replayed", "discarded"), weights=(6, 2, 1))[0]
        letter_id = uuid.UUID(int=chance.getrandbits(128), version=4)
        ids.append(letter_id)
        value = _body(number, texts[number % len(texts)])
        event_id = f"event-{number:05}"
        await connection.execute(
            _LETTER,
            letter_id,
            consumer,
            topic,
            number,
            f"key/{texts[number % len(texts)]}".encode(),
            value,
            len(value),
            {
                "content-type": "application/cloudevents+json",
                "ce_id": event_id,
                "x-dlq-message": f"{message}: {texts[number % len(texts)][:80]}",
                "x-dlq-category": category,
            },
            category,
            error_class,
            f"{message}: {texts[number % len(texts)][:200]}",
            f"{error_class} <- ValueError",
            event_id,
            failed_at,
            status,
            None if status == "open" else failed_at + timedelta(hours=1),
            None if status == "open" else "ann",
            "the source has corrected it" if status == "discarded" else None,
        )
    return ids


_LETTER = """
insert into meta.dead_letters (id, service, consumer, topic, partition, "offset", fingerprint,
    key, value, size, is_cut, original_headers, headers, category, error_class, message, chain,
    attempts, event_id, replays, failed_at, status, decided_at, decided_by, decision_reason)
values ($1, $2, $2, $3, 0, $4, 'f', $5, $6, $7, false, '{"base64": []}', $8, $9, $10, $11, $12, 1,
    $13, 0, $14, $15, $16, $17, $18)
"""


def _body(number: int, text: str) -> bytes:
    match number % 9:
        case 7:
            return bytes(range(256)) * 4
        case 8:
            return f"not JSON: {text}".encode()
        case _:
            data = {"source": "nas", "path": f"Data/{text}.xml", "notes": ["x" * 30] * (number % 5)}
            return json.dumps(
                {"specversion": "1.0", "id": f"event-{number:05}", "data": data}
            ).encode()


async def seed_drifts(connection: Connection) -> list[uuid.UUID]:
    """Add changes of schemas in every state; return the ids, the newest first."""
    ids = []
    for number in range(12):
        status = ("waiting", "noted", "accepted", "rejected")[number % 4]
        is_breaking = status != "noted"
        drift_id = uuid.uuid5(uuid.NAMESPACE_URL, f"drift/{number}")
        ids.append(drift_id)
        old = {"EmplId": "text", "Work_Phone": "text", "Name": "text", "DeptGroup": "text|absent"}
        new = {**old, "Pronouns": "text"}
        changes = [{"field": "Pronouns", "effect": "added", "old": None, "new": "text"}]
        if is_breaking:
            new |= {"Work_Phone": "array"}
            del new["DeptGroup"]
            changes += [
                {"field": "Work_Phone", "effect": "retyped", "old": "text", "new": "array"},
                {"field": "DeptGroup", "effect": "removed", "old": "text|absent", "new": None},
            ]
        await connection.execute(
            "insert into meta.drifts (id, service, dataset, kind, old, new, changes, sample, "
            "affected, status, detected_at, decided_at, decided_by, reason) values "
            "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            drift_id,
            ("ingestor", "refresher", "wrds_sync")[number % 3],
            ("umich_api/user", "customers", "crsp_daily")[number % 3],
            "breaking" if is_breaking else "additive",
            old,
            new,
            changes,
            {"EmplId": "40001", "Name": HOSTILE, "Work_Phone": ["+1 734 555 0100"]},
            ["users.phone", "users.department_name"] if is_breaking else [],
            status,
            NOW - timedelta(hours=7 * number + 1),
            NOW - timedelta(hours=7 * number) if status in ("accepted", "rejected") else None,
            "carla" if status in ("accepted", "rejected") else None,
            "agreed with the owner" if status == "accepted" else None,
        )
    await connection.execute(
        "update meta.dead_letters set drift_id = $1 where error_class = 'SchemaDriftError'", ids[0]
    )
    return ids
