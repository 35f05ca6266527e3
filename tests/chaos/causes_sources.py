"""Real causes of alerts about sources, flows and refreshes: what others deliver, or do not."""

import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from contracts.commands import (
    FlowRequested,
    RefreshApproveRequested,
    ScanRequested,
)
from contracts.topics import FLOW_REQUESTED, REFRESH_APPROVE_REQUESTED, SCAN_REQUESTED
from penstock.demo.records import FLOW
from tests.chaos.scene import Scene
from tests.support.authority import Authority
from tests.support.paths import PROJECT

UAT = "demo_uat"
_PLAN = "select plan_id from refresher.plans where target = 'customers' and status = 'waiting'"
_SPOIL = """
create function public.tidy() returns trigger language plpgsql as $$
begin
    new.city := upper(new.city);
    return new;
end $$;
create function public.tidy_new_tables() returns event_trigger language plpgsql as $$
declare
    made record;
begin
    for made in select * from pg_event_trigger_ddl_commands()
    loop
        execute format('create trigger tidy before insert on %s for each row '
                       'execute function public.tidy()', made.object_identity);
    end loop;
end $$;
create event trigger tidy_new_tables on ddl_command_end
    when tag in ('CREATE TABLE', 'CREATE TABLE AS') execute function public.tidy_new_tables();
"""
"""What a database holds that nobody remembers: every new table gets a trigger that changes rows."""

_MARKET = "presets/daily-market.yaml"
_HOLDINGS_LEFT = 12
"""Lines of the holdings' file: its head, and two shares of eight."""


class SourceCauses(Scene):
    """What is wrong is outside of the hub."""

    def all(self) -> None:
        """Bring about everything."""
        self.change_rows_on_their_way()
        self.deliver_one_series_for_all()
        self.answer_no_request()
        self.trust_an_authority_that_ends()
        self.lose_most_of_the_universe()

    def change_rows_on_their_way(self) -> None:
        """A trigger in UAT makes staging differ from production."""
        self.until_quiet("RunFailed")  # of the demo's own
        failed = self.expect("RefreshNotVerified", "RunFailed")
        self.on_database(lambda connection: connection.execute(_SPOIL), database=UAT)
        self.ask(
            REFRESH_APPROVE_REQUESTED,
            RefreshApproveRequested,
            plan=self.fetch(_PLAN),
            table="customers",
        )
        failed.wait()

    def deliver_one_series_for_all(self) -> None:
        """The provider of prices tells one company's prices under every name."""
        refused = self.expect("RecordsNotBelieved")
        self._control(same_series=True)
        self._scan("fmp_prices")
        refused.wait()
        self._control()

    def answer_no_request(self) -> None:
        """The API of a directory fails."""
        down = self.expect("SourceDown")
        self._control(faults=[{"kind": "status", "status": 503}])
        command = self._scan("tdx_users")
        down.wait()
        self._control()
        self.follow(command)
        self.until_quiet("SourceDown")

    def trust_an_authority_that_ends(self) -> None:
        """The house's authority ends in ten days."""
        ends = self.expect("HouseAuthorityEnds")
        authority = Authority(self.hub.folder, name="house", days=10)
        market = self._shorten_holdings()

        def change(source: dict[str, Any]) -> None:
            records = source["records"]
            if records["kind"] == "file-list":
                records["share"]["root"] = str(market)
            else:
                records["api"]["ca_file"] = str(authority.file)

        self._change_market(change)
        self.hub.restart("scanner")
        self._scan("fmp_dcf")
        ends.wait()

    def lose_most_of_the_universe(self) -> None:
        """The list of holdings comes with most of its lines missing."""
        unclean = self.expect("FlowNotClean")
        self.ask(FLOW_REQUESTED, FlowRequested, flow=FLOW)
        unclean.wait()

    # --- means
    def _scan(self, source: str) -> str:
        return self.ask(SCAN_REQUESTED, ScanRequested, source=source, mode="full")

    def _shorten_holdings(self) -> Path:
        market = self.hub.folder / "market"
        shutil.copytree(PROJECT / "examples" / "market", market)
        holdings = market / "holdings.csv"
        lines = holdings.read_bytes().splitlines(keepends=True)
        holdings.write_bytes(b"".join(lines[:_HOLDINGS_LEFT]))
        return market

    def _market(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.hub.config / _MARKET).read_text("utf-8"))
        return found

    def _change_market(self, change: Callable[[dict[str, Any]], None]) -> None:
        document = self._market()
        for source in document["sources"]:
            change(source)
        (self.hub.config / _MARKET).write_text(yaml.safe_dump(document), "utf-8")

    def _control(self, **plan: Any) -> None:
        """Tell the sample API what goes wrong from now on."""
        apis = (source["records"].get("api") for source in self._market()["sources"])
        address = next(api["base_url"] for api in apis if api)
        request = urllib.request.Request(
            f"{address}/control", json.dumps(plan).encode(), method="PUT"
        )
        with urllib.request.urlopen(request, timeout=10):
            pass
