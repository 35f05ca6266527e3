"""The transformer with a bug: at the first attempts, its handler fails in a way nobody foresaw."""

import runpy

from chassis.bus.delivery import Batch
from contracts.layers import BronzeStored
from transformer.handlers.transform import TransformBatch

_correct = TransformBatch.__call__
_FAILS = 2


async def _with_a_bug(self: TransformBatch, batch: Batch[BronzeStored]) -> None:
    if batch.attempt <= _FAILS:
        raise KeyError("quarter")
    await _correct(self, batch)


TransformBatch.__call__ = _with_a_bug  # type: ignore[method-assign]

if __name__ == "__main__":
    runpy.run_module("transformer", run_name="__main__")
