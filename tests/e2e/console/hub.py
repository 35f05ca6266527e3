"""A hub with a console: the processes, a shop to refresh, and people with different rights."""

import contextlib
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser

from penstock.demo.console import ConsoleProcess
from penstock.demo.copies import fingerprints
from penstock.demo.shop import Shop
from penstock.processes import ServiceProcesses
from tests.e2e.console.browsing import Person, log_on, visit
from tests.support.addresses import KafkaAddress
from tests.support.paths import PROJECT
from tests.support.topics import lay_topics


@dataclass(slots=True)
class Site:
    """A console that runs, and its first user."""

    address: str
    admin: Person
    services: ServiceProcesses
    browser: Browser

    async def enter(self, role: str) -> Person:
        """Have the administrator add a user, who logs on in a window of their own."""
        name = f"{role}-{secrets.token_hex(3)}"
        await self.admin.open("/users")
        await self.admin.fill("Add a user", name=name, role=role)
        await self.admin.press("Add the user")
        once = await self.admin.page.locator("code.secret").inner_text()
        person = await visit(self.browser, self.address)
        await log_on(person, name, once)
        return person


@contextlib.asynccontextmanager
async def open_site(
    browser: Browser, environment: dict[str, str], folder: Path, *services: str
) -> AsyncGenerator[Site]:
    """Start services and a console; log the first user on."""
    async with ServiceProcesses(environment, folder / "logs") as processes:
        if services:
            await processes.start(*services)
        console = await ConsoleProcess.start(processes)
        admin = await visit(browser, console.address)
        name, _, once = console.login.partition(", with the one-time password ")
        await log_on(admin, name, once)
        yield Site(console.address, admin, processes, browser)


async def open_shop(
    kafka: KafkaAddress, database_url: str, folder: Path
) -> tuple[Shop, dict[str, str]]:
    """Lay out the demo's shop, pinned in a configuration; return it and the environment."""
    await lay_topics(kafka)
    shop = await Shop.open(
        database_url, PROJECT / "examples", prefix=f"shop_{secrets.token_hex(4)}"
    )
    environment = {
        **kafka.env,
        **shop.env,
        "DATABASE_URL": database_url,
        "PENSTOCK_CONFIG_DIRECTORY": str(folder),
    }
    shop.write_config(folder)
    shop.write_config(folder, await fingerprints(environment))
    return shop, environment


async def customers(shop: Shop) -> Sequence[int]:
    """Return how many customers UAT has, and how many of them have the name of long ago."""
    return await shop.uat.row(
        "select count(*), count(*) filter (where contact_name = 'An old name') from customers"
    )
