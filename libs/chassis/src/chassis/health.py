"""Probes and metrics on one port: `/livez`, `/readyz`, `/startupz`, `/metrics`.

Liveness asks only whether this process turns; a broker outage must not restart the fleet.
Readiness asks its dependencies. Start-up asks for what must be true once: settings, migrations,
topics.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis import metrics, web_server
from chassis.clock import Clock
from chassis.errors import PenstockError
from chassis.logs import get_logger
from chassis.redaction import redact

LOOP_LIMIT_SECONDS = 30.0
CHECK_DEADLINE_SECONDS = 3.0
WATCH_SECONDS = 10.0

Check = Callable[[], Awaitable[None]]
"""Returns if all is well; raises a `PenstockError` that says what is not."""


@dataclass(slots=True)
class Health:
    """What the probes answer."""

    clock: Clock
    readiness: dict[str, Check] = field(default_factory=dict)
    startup: dict[str, Check] = field(default_factory=dict)
    beat_at: float = 0.0

    def __post_init__(self) -> None:
        """Count the loop's silence from now on, not from the start of the machine."""
        self.beat_at = self.clock.monotonic()

    async def watch_loop(self) -> None:
        """Measure how late the event loop runs its timers; a blocked loop fails liveness."""
        while True:
            before = self.clock.monotonic()
            self.beat_at = before
            await asyncio.sleep(1)
            metrics.LOOP_LAG.set(max(0.0, self.clock.monotonic() - before - 1))

    async def watch_dependencies(self) -> None:
        """Measure the dependencies even where nobody asks for readiness."""
        while True:
            await self.problems(self.readiness)
            await asyncio.sleep(WATCH_SECONDS)

    async def problems(self, checks: dict[str, Check]) -> dict[str, str]:
        """Run checks and return what is wrong, by name."""
        results = await asyncio.gather(
            *(self._check(name, check) for name, check in checks.items())
        )
        return {name: text for name, text in results if text}

    @staticmethod
    async def _check(name: str, check: Check) -> tuple[str, str | None]:
        try:
            async with asyncio.timeout(CHECK_DEADLINE_SECONDS):
                await check()
        except (PenstockError, TimeoutError, OSError) as error:
            metrics.DEPENDENCY_UP.labels(name).set(0)
            # Anybody who reaches the port may read it.
            return name, redact(str(error)) or type(error).__name__
        metrics.DEPENDENCY_UP.labels(name).set(1)
        return name, None


def build_health_app(health: Health) -> Starlette:
    """Return the ASGI application with the four routes."""

    async def livez(_: Request) -> Response:
        late = health.clock.monotonic() - health.beat_at
        return JSONResponse(
            {"loop_seconds": round(late, 3)}, 200 if late < LOOP_LIMIT_SECONDS else 503
        )

    async def readyz(_: Request) -> Response:
        problems = await health.problems(health.readiness)
        return JSONResponse({"problems": problems}, 503 if problems else 200)

    async def startupz(_: Request) -> Response:
        problems = await health.problems(health.startup)
        return JSONResponse({"problems": problems}, 503 if problems else 200)

    async def metrics_page(_: Request) -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/startupz", startupz),
            Route("/metrics", metrics_page),
        ]
    )


@contextlib.asynccontextmanager
async def serving(health: Health, *, host: str, port: int) -> AsyncGenerator[int]:
    """Serve the probes; yields the port in use.

    Raises:
        SettingsError: the port is taken.
    """
    listener = web_server.listen(host, port, settings="PENSTOCK_HTTP")
    bound: int = listener.getsockname()[1]
    async with web_server.serving(build_health_app(health), listener, close_seconds=2):
        get_logger().info("probes_listening", port=bound)
        yield bound
