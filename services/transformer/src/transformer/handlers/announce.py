"""Announces what readers see differently: polars renders what thousands of events say, and the
contract checks it by columns.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from chassis.db import Transaction
from contracts.envelope import Event
from contracts.layers import SilverChanged, SilverOperation, entity_key
from contracts.topics import SILVER_CHANGED
from contracts.types import column_of
from transformer.domain.changes import VERSION, Changes, Status
from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY
from transformer.domain.outcomes import FLAGS, SCORE, STATUS
from transformer.handlers.identify import Plan

Causes = Mapping[str, Event[Any]]
"""The events that asked for recomputation, by bronze's entity id."""


def announce(
    transaction: Transaction, entity: Entity, changes: Changes, *, plan: Plan, causes: Causes
) -> None:
    """Publish `silver.changed` for the entities that readers see differently."""
    seen = changes.visible
    is_live = pl.col(STATUS) == Status.LIVE
    _announce_upserted(transaction, entity, seen.filter(is_live), plan=plan, causes=causes)
    retired = [
        SilverChanged(
            operation=SilverOperation.RETIRED,
            entity_type=entity.entity_type,
            entity_id=entity_id,
            version=version,
            merged_into=plan.survivor_of(entity_id),
        )
        for entity_id, version in seen.filter(~is_live).select(ENTITY, VERSION).iter_rows()
    ]
    transaction.publish_all(
        SILVER_CHANGED,
        retired,
        causes=[plan.cause_of(data.entity_id, causes) for data in retired] if causes else None,
    )


def _announce_upserted(
    transaction: Transaction, entity: Entity, seen: pl.DataFrame, *, plan: Plan, causes: Causes
) -> None:
    data = seen.select(
        pl.lit(SilverOperation.UPSERTED.value).alias("operation"),
        pl.lit(entity.entity_type).alias("entity_type"),
        pl.col(ENTITY).alias("entity_id"),
        pl.col(VERSION).alias("version"),
        pl.col(SCORE).alias("quality_score"),
        pl.col(FLAGS).alias("quality_flags"),
    )
    _check(data)
    ids = data["entity_id"].to_list()
    texts = data.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()
    transaction.publish_rendered(
        SILVER_CHANGED,
        [entity_key(entity.entity_type, entity_id) for entity_id in ids],
        [text.encode() for text in texts],
        causes=[plan.cause_of(entity_id, causes) for entity_id in ids] if causes else None,
    )


def _check(data: pl.DataFrame) -> None:
    """Validate what events say as the model does, a column at a time, and equal values once.

    Raises:
        ValidationError: a value breaks the contract.
    """
    for column in data:
        column_of(SilverChanged, column.name).validate_python(column.unique().to_list())
