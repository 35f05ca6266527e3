"""Every page in a real browser: usable by everybody, in light and dark, and on a telephone."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, ViewportSize

from tests.e2e.console.browsing import chromium
from tests.e2e.console.hub import open_site
from tests.e2e.console.pages import Pages
from tests.support.addresses import KafkaAddress

pytestmark = pytest.mark.timeout(400)

SERIOUS = {"serious", "critical"}
PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1360, "height": 900}
UNLABELLED = "<main><img src='data:,'><input name='x'></main>"


async def violations(page: Page, *rules: str) -> list[str]:
    """Return what axe-core finds wrong with a page, if it is serious; by default by all rules."""
    options = {"runOnly": list(rules)} if rules else None
    found: list[dict[str, Any]] = (await Axe().run(page, options=options)).response["violations"]
    return [
        f"{item['id']}: {item['nodes'][0]['html'][:200]}"
        for item in found
        if item["impact"] in SERIOUS
    ]


async def test_no_page_shuts_anybody_out(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    pages = await Pages.seed(database_url)
    environment = {**kafka.env, "DATABASE_URL": database_url}
    async with chromium() as browser, open_site(browser, environment, tmp_path) as site:
        page = site.admin.page
        problems: dict[str, list[str]] = {}
        too_wide: list[str] = []
        for name, address in pages.addresses.items():
            await site.admin.open(address)
            assert await page.locator("h1").count() == 1, name
            problems[f"{name}, light"] = await violations(page)
            await page.emulate_media(color_scheme="dark")
            problems[f"{name}, dark"] = await violations(page, "color-contrast")
            await page.emulate_media(color_scheme="light")
            await page.set_viewport_size(PHONE)
            width = await page.evaluate("document.documentElement.scrollWidth")
            if width > PHONE["width"]:
                too_wide.append(f"{name}: {width}")
            await page.set_viewport_size(DESK)
        assert {name: found for name, found in problems.items() if found} == {}
        assert too_wide == []
        assert site.admin.complaints == []


async def test_the_judge_of_pages_finds_faults() -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        await page.set_content(UNLABELLED)
        assert {item.partition(":")[0] for item in await violations(page)} >= {
            "image-alt",
            "label",
        }
