"""Asks the services themselves: `/readyz` and `/metrics` of the configured addresses."""

import asyncio
from collections.abc import Sequence

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from chassis.redaction import redact
from console.ports.services import Probe

_DEADLINE = 4.0
"""Longer than the services' own checks may take."""


class HttpProbes:
    """The services as they answer."""

    def __init__(self, addresses: Sequence[tuple[str, str]]) -> None:
        self._addresses = addresses
        self._http = httpx2.AsyncClient(timeout=_DEADLINE, trust_env=False)

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def read(self) -> Sequence[Probe]:
        """Ask every address, side by side."""
        asked = (self._ask(service, address) for service, address in self._addresses)
        return await asyncio.gather(*asked)

    async def _ask(self, service: str, address: str) -> Probe:
        try:
            async with asyncio.timeout(_DEADLINE):
                ready = await self._http.get(f"{address}/readyz")
                metrics = await self._http.get(f"{address}/metrics")
            problems = dict(ready.json()["problems"])
            lights, lag = _read_metrics(metrics.text)
        except (httpx2.HTTPError, TimeoutError, ValueError, KeyError) as error:
            reason = redact(str(error)) or "no answer in time"
            return Probe(
                service=service,
                address=address,
                is_ready=False,
                problems={"process": reason},
                lights={},
                lag=None,
            )
        return Probe(
            service=service,
            address=address,
            is_ready=ready.status_code == httpx2.codes.OK,
            problems={name: str(text) for name, text in problems.items()},
            lights=lights,
            lag=lag,
        )


def _read_metrics(text: str) -> tuple[dict[str, bool], int | None]:
    """Return the dependencies' lights and the sum of the lags."""
    lights: dict[str, bool] = {}
    lag: int | None = None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "penstock_dependency_up":
                lights[sample.labels["dependency"]] = sample.value == 1
            elif sample.name == "penstock_consumer_lag_messages":
                lag = (lag or 0) + int(sample.value)
    return lights, lag
