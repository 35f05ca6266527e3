"""People before real browsers: Debian's Chromium through Playwright."""

import contextlib
import re
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from playwright.async_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    async_playwright,
    expect,
)

from tests.support.errors import MissingServerError

PASSWORD = "correct horse battery staple"
WAIT_MS = 30_000
"""For what takes a command, a run and a message of change."""


@dataclass(slots=True)
class Person:
    """Somebody who is logged on, in a browser of their own."""

    name: str
    address: str
    page: Page
    complaints: list[str] = field(default_factory=list)
    """What the browser itself has said: refused scripts, errors of scripts."""

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.address}{path}")

    async def sees(self, text: str | re.Pattern[str], *, within: str = "main") -> None:
        """Wait until the page says so, by itself."""
        await expect(self.page.locator(within)).to_contain_text(text, timeout=WAIT_MS)

    async def fill(self, heading: str, **fields: str) -> None:
        """Fill in the form of a card."""
        card = self.card(heading)
        for name, value in fields.items():
            entry = card.locator(f"[name={name}]")
            if await entry.evaluate("item => item.tagName") == "SELECT":
                await entry.select_option(value)
            else:
                await entry.fill(value)

    async def press(self, label: str, *, heading: str | None = None) -> None:
        place = self.card(heading) if heading else self.page.locator("main")
        await place.get_by_role("button", name=label).click()

    async def run_has_ended(self, how: str = "completed") -> None:
        """Watch the command that was just given become a run, and the run end.

        A run that is there already when the page is asked for is shown itself.
        """
        await self.sees(re.compile(rf"became a run:\s+{how}|\s{how}\s[\s\S]*Finished\s*20"))

    def card(self, heading: str) -> Locator:
        return self.page.locator("section.card", has=self.page.get_by_role("heading", name=heading))


@contextlib.asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        raise MissingServerError(
            "The tests of the console need a browser: run scripts/install-system.sh, "
            "or install the Debian package chromium."
        )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


async def visit(browser: Browser, address: str) -> Person:
    """Open a browser window in which nobody is logged on."""
    context: BrowserContext = await browser.new_context(locale="en-GB")
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    person = Person("nobody", address, page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.on("pageerror", lambda error: person.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            person.complaints.append(message.text)
            if "Content Security Policy" in message.text
            else None
        ),
    )
    return person


async def log_on(person: Person, name: str, once: str, password: str = PASSWORD) -> None:
    """Log on with a one-time password, and choose another as asked."""
    page = person.page
    await person.open("/")
    await page.locator("[name=name]").fill(name)
    await page.locator("[name=password]").fill(once)
    await page.get_by_role("button", name="Log on").click()
    await expect(page.get_by_role("heading", name="Choose a password")).to_be_visible()
    await page.locator("[name=current]").fill(once)
    await page.locator("[name=new]").fill(password)
    await page.locator("[name=again]").fill(password)
    await page.get_by_role("button", name="Change the password").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    person.name = name
