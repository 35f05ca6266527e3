"""`python -m tests.e2e.console FOLDER` draws every page of the console, for docs/console."""

import asyncio
import sys
import tempfile
from pathlib import Path

from chassis.bus.topics import apply_topics
from chassis.migrations import migrate
from chassis.settings import KafkaSettings
from contracts.topics import topic_specs
from penstock.commands.migrate import installed_owners
from penstock.stack import PartName, Stack, read_settings
from tests.e2e.console.browsing import chromium
from tests.e2e.console.hub import open_site
from tests.e2e.console.pages import Pages
from tests.e2e.console.test_looks import DESK, PHONE

_DARK = ("overview", "table", "record")
_PHONE = ("overview", "dead-letters")


async def _draw(env: dict[str, str], folder: Path, scratch: Path) -> None:
    await migrate(env["DATABASE_URL"], owners=installed_owners())
    await apply_topics(
        KafkaSettings.model_validate({"KAFKA_BOOTSTRAP_SERVERS": env["KAFKA_BOOTSTRAP_SERVERS"]}),
        topic_specs(),
    )
    pages = await Pages.seed(env["DATABASE_URL"])
    async with chromium() as browser, open_site(browser, env, scratch) as site:
        page = site.admin.page

        async def shoot(name: str, *, as_what: str = "") -> None:
            await site.admin.open(pages.addresses[name])
            await page.screenshot(path=folder / f"{name}{as_what}.png")

        await page.set_viewport_size(DESK)
        for name in pages.addresses:
            await shoot(name)
        await page.emulate_media(color_scheme="dark")
        for name in _DARK:
            await shoot(name, as_what="-dark")
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size(PHONE)
        for name in _PHONE:
            await shoot(name, as_what="-phone")
        await page.set_viewport_size(DESK)
        await page.context.clear_cookies()
        await site.admin.open("/login")
        await page.screenshot(path=folder / "login.png")


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="penstock-console-") as scratch:
        stack = Stack(settings=read_settings().in_folder(Path(scratch)), fast=True)
        with stack.up([PartName.KAFKA, PartName.POSTGRES], tied=True) as running:
            asyncio.run(_draw(dict(running.env), folder, Path(scratch)))


if __name__ == "__main__":
    main()
