"""What bronze and silver may tell."""

import pytest
from pydantic import ValidationError

from contracts.layers import SilverChanged, SilverOperation


@pytest.mark.parametrize("score", ["0.00", "0.85", "1.00"])
def test_a_quality_score_has_two_decimals(score: str) -> None:
    assert changed(score).quality_score == score


@pytest.mark.parametrize(
    "score", ["0.8500000000000001", "1", "1.01", "2.00", "-0.10", "0,85", "0.850", ""]
)
def test_a_score_that_replays_could_write_differently_is_refused(score: str) -> None:
    with pytest.raises(ValidationError, match="quality_score"):
        changed(score)


def changed(score: str) -> SilverChanged:
    return SilverChanged(
        operation=SilverOperation.UPSERTED,
        entity_type="transcript",
        entity_id="1",
        version=1,
        quality_score=score,
    )
