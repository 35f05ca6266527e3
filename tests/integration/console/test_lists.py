"""What lists bear: strings that attack, and many rows."""

import json
import uuid
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from console.adapters import runs as ledger
from console.domain.roles import Role
from console.ports.runs import RunFilter
from tests.integration.console.browser import Browser, Console
from tests.integration.console.ledger import add_runs
from tests.support.paths import shared_data

_HARMLESS = "harmless"

_RUNS = """
insert into meta.runs (run_id, service, kind, target, status, message, requester, reason,
                       parameters, checkpoint, queued_at, finished_at)
select gen_random_uuid(), $1, 'scan', text, 'failed', text, text, text,
       jsonb_build_object(text, text), jsonb_build_object(text, text),
       clock_timestamp(), clock_timestamp()
from unnest($2::text[]) as text
returning run_id
"""

_AUDIT = """
insert into meta.audit (service, actor, action, subject, details)
select 'x', text, $1, text, jsonb_build_object(text, text) from unnest($2::text[]) as text
"""


class Shapes(HTMLParser):
    """Collects the elements of a page with their attributes, and where its links go."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, *(name for name, _ in attrs)))
        self.links |= {value or "" for name, value in attrs if name in ("href", "src", "action")}


def _hostile() -> list[str]:
    strings: list[str] = json.loads(shared_data("nasty", "blns", "blns.json").read_text("utf-8"))
    own = ["</script><script>alert(1)</script>", "' onmouseover='alert(1)", "{{ 7 * 7 }}"]
    return [text for text in (*own, *strings) if text and "\0" not in text]


async def _pages(browser: Browser, path: str) -> Iterator[str]:
    pages, cursor = [], ""
    while True:
        pages.append(await browser.page(f"{path}&cursor={cursor}"))
        listed = await browser.read(f"{path}&cursor={cursor}")
        cursor = listed["next"]
        if not cursor:
            return iter(pages)


async def test_hostile_strings_stay_text(console: Console) -> None:
    operator = await console.login(Role.OPERATOR)
    async with console.database.connection() as connection:
        await connection.execute(_RUNS, "calm", [_HARMLESS] * 60)
        await connection.execute(_AUDIT, "calm", [_HARMLESS] * 60)
        await connection.execute(_AUDIT, "wild", _hostile())
        ids = [row["run_id"] for row in await connection.fetch(_RUNS, "wild", _hostile())]
    for path in ("/runs?service={}", "/audit?action={}"):
        calm: set[tuple[str, ...]] = set()
        for page in await _pages(operator, path.format("calm")):
            calm |= Shapes(page).found
        for page in await _pages(operator, path.format("wild")):
            shapes = Shapes(page)
            assert shapes.found <= calm
            assert all(link == "#main" or link.startswith("/") for link in shapes.links)
    async with console.database.connection() as connection:
        first = await connection.fetchval("select run_id from meta.runs where service = 'calm'")
    calm = Shapes(await operator.page(f"/runs/{first}")).found | {("tr",), ("td",)}
    for run_id in ids[:25]:
        assert Shapes(await operator.page(f"/runs/{run_id}")).found <= calm


async def test_a_page_of_ten_thousand_runs_reads_the_rows_of_that_page(console: Console) -> None:
    viewer = await console.login()
    await add_runs(console.database, count=10_000, target="file")
    first = await viewer.read("/runs")
    deep = first
    for _ in range(3):
        deep = await viewer.read(f"/runs?cursor={deep['next']}")
    assert len(deep["items"]) == 50
    async with console.database.connection() as connection:
        await connection.execute("analyze meta.runs")
        for cursor in ("", str(deep["next"])):
            arguments = ledger._arguments(RunFilter(cursor=cursor))
            plan = await connection.fetchval(
                f"explain (analyze, format json) {ledger._LIST}", *arguments
            )
            read = dict(_rows_read(json.loads(plan)[0]["Plan"]))
            assert sum(read.values()) <= 60, read
            assert not any("Seq Scan" in node for node in read)


def _rows_read(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    if "Relation Name" in node:
        yield node["Node Type"], node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    for child in node.get("Plans", []):
        yield from _rows_read(child)


async def test_a_cursor_that_nobody_gave_is_the_start(console: Console) -> None:
    viewer = await console.login()
    await add_runs(console.database)
    for cursor in ("x", "WyJhIiwgImIiXQ", str(uuid.uuid4())):
        assert len((await viewer.read(f"/runs?cursor={cursor}"))["items"]) == 1
