"""Commands are untrusted: what they may say is bounded and known."""

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.commands import (
    Command,
    FlowRequested,
    OverlapPolicy,
    RefreshRequested,
    ReplayRequested,
    RunCancelRequested,
    ScanRequested,
    TransformRequested,
    WrdsSyncRequested,
)

SMALLEST: list[tuple[type[Command], dict[str, Any]]] = [
    (ScanRequested, {"source": "nas"}),
    (FlowRequested, {"flow": "daily-market"}),
    (RefreshRequested, {"table": "all"}),
    (WrdsSyncRequested, {"dataset": "crsp"}),
    (ReplayRequested, {"topic": "file.changed.ingestor.dead"}),
    (TransformRequested, {"entity_type": "transcript"}),
    (RunCancelRequested, {"run_id": "0b2f"}),
]


@pytest.mark.parametrize(("command", "fields"), SMALLEST, ids=lambda item: str(item)[:40])
def test_one_field_is_enough_and_the_rest_is_harmless(
    command: type[Command], fields: dict[str, Any]
) -> None:
    accepted = command.model_validate(fields)

    assert accepted.dry_run is False
    # Of two replays none answers for the other: they mean other letters.
    expected = OverlapPolicy.QUEUE if command is ReplayRequested else OverlapPolicy.SKIP
    assert accepted.overlap is expected
    assert (accepted.command_id, accepted.requester, accepted.expires_at) == (
        None,
        "anonymous",
        None,
    )


@pytest.mark.parametrize(("command", "fields"), SMALLEST, ids=lambda item: str(item)[:40])
def test_an_unknown_field_is_refused(command: type[Command], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        command.model_validate(fields | {"dryrun": True})


@pytest.mark.parametrize(("command", "fields"), SMALLEST, ids=lambda item: str(item)[:40])
@pytest.mark.parametrize(
    "change",
    [
        {"command_id": ""},
        {"command_id": "x" * 513},
        {"requester": ""},
        {"requester": "x" * 101},
        {"reason": "x" * 1001},
        {"expires_at": "2026-01-02T03:04:05"},
        {"overlap": "overwrite"},
        {"dry_run": "perhaps"},
    ],
    ids=str,
)
def test_a_control_field_outside_its_bounds_is_refused(
    command: type[Command], fields: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        command.model_validate(fields | change)


@pytest.mark.parametrize(
    "target", ["", "../etc", "nas/../x", "10.0.0.1:445/share", "a b", "'; drop table x", "x" * 101]
)
def test_a_target_is_a_name_never_a_path_a_host_or_sql(target: str) -> None:
    for command, field in ((ScanRequested, "source"), (RefreshRequested, "table")):
        with pytest.raises(ValidationError):
            command.model_validate({field: target})


def test_a_list_of_ids_is_bounded() -> None:
    ids = [str(number) for number in range(1000)]

    assert len(
        TransformRequested.model_validate({"entity_type": "t", "entity_ids": ids}).entity_ids
    )
    with pytest.raises(ValidationError, match="at most 1000"):
        TransformRequested.model_validate({"entity_type": "t", "entity_ids": [*ids, "one more"]})


@pytest.mark.parametrize("limit", [0, -1, 1.5, float("nan"), float("inf"), 1e400])
def test_a_row_limit_that_is_no_positive_whole_number_is_refused(limit: float) -> None:
    with pytest.raises(ValidationError):
        RefreshRequested.model_validate({"table": "t", "row_limit": limit})


@pytest.mark.parametrize("mode", ["delete", "FULL", "", None])
def test_a_mode_that_does_not_exist_is_refused(mode: str | None) -> None:
    with pytest.raises(ValidationError):
        ScanRequested.model_validate({"source": "nas", "mode": mode})


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_discarding_needs_a_reason_and_replaying_does_not(reason: str | None) -> None:
    fields = {"topic": "file.changed.ingestor.dead", "reason": reason}

    assert ReplayRequested.model_validate(fields).action == "replay"
    with pytest.raises(ValidationError, match="discarding dead letters needs a reason"):
        ReplayRequested.model_validate(fields | {"action": "discard"})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"action": "promote"}, "promote and discard name a shadow_run"),
        ({"action": "shadow", "shadow_run": "r"}, "promote and discard name a shadow_run"),
        ({"limit": 5}, "until and limit belong to a shadow"),
        ({"action": "shadow", "limit": 0}, "greater than or equal to 1"),
        ({"action": "shadow", "dry_run": True}, "belong to a transformation"),
        ({"action": "shadow", "priority": ["email=tdx"]}, "belong to a transformation"),
        ({"action": "discard", "shadow_run": "r", "entity_ids": ["a"]}, "as a whole"),
        ({"action": "swap"}, "Input should be"),
    ],
)
def test_a_shadow_is_asked_for_and_decided_about_alone(
    fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TransformRequested.model_validate({"entity_type": "user"} | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "shadow", "until": "2026-01-02T03:04:05Z", "limit": 5},
        {"action": "promote", "shadow_run": "r", "reason": "looked at"},
        {"action": "discard", "shadow_run": "r"},
    ],
)
def test_a_shadow_can_be_asked_for_and_decided_about(fields: dict[str, Any]) -> None:
    assert TransformRequested.model_validate({"entity_type": "user"} | fields).dry_run is False
