from collections.abc import Mapping

import pytest

from chassis.errors import UnavailableError
from penstock.stack import PartName, StackError, provision


async def test_a_step_that_fails_is_told_with_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_env: Mapping[str, str]) -> None:
        raise UnavailableError("Kafka does not take topics", dependency="kafka")

    monkeypatch.setattr(provision, "STEPS", {PartName.KAFKA: (refuse,)})
    with pytest.raises(StackError, match=r"kafka started but could not be set up: Kafka does not"):
        await provision.provision(PartName.KAFKA, {})


async def test_a_part_without_steps_needs_nothing() -> None:
    await provision.provision(PartName.SMB, {})
