"""The scanner's market sources as the presets say, against the sample API and a local share."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import PROJECT, shared_data
from tests.support.sample_api import SampleServer

LIST = "data/russel_2000_list.csv"


def write_preset_config(folder: Path, server: SampleServer, share: Path, *names: str) -> Path:
    """Write a configuration folder whose sources are the presets, at the sample API's address."""
    sources: list[dict[str, Any]] = []
    for name in names:
        document = yaml.safe_load((PROJECT / "config" / "presets" / f"{name}.yaml").read_text())
        sources += [_here(source, server, share) for source in document["sources"]]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sources.yaml").write_text(yaml.safe_dump({"version": 1, "sources": sources}))
    shutil.copy(PROJECT / "config" / "flows.yaml", folder)
    return folder


def lay_universe(share: Path, tickers: list[str]) -> None:
    """Lay the real list of holdings on the share, cut to some tickers and what is no share."""
    text = shared_data("market", "IWM_holdings_2025-05-13.csv").read_text("utf-8-sig")
    head, _, rows = text.partition("Accrual Date\n")
    wanted = tuple(f'"{ticker}"' for ticker in (*tickers, "XTSLA", "USD", "-"))
    kept = [line for line in rows.splitlines() if line.startswith(wanted)]
    known = {line.split(",", 1)[0].strip('"') for line in kept}
    kept += [_row(ticker) for ticker in tickers if ticker not in known]
    target = share / LIST
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join((f"{head}Accrual Date", *kept, "")), "utf-8")


def _row(ticker: str) -> str:
    cells = [ticker, f"{ticker} INC", "Energy", "Equity", "1.00", "0.01", "1.00", "1.00", "1.00"]
    tail = ["United States", "NASDAQ", "USD", "1.00", "USD", "-"]
    return ",".join(f'"{cell}"' for cell in (*cells, *tail))


def _here(source: dict[str, Any], server: SampleServer, share: Path) -> dict[str, Any]:
    records = source["records"]
    if records["kind"] == "file-list":
        records["share"] = {"kind": "local", "root": str(share)}
        source["scan"]["band"] = {"max_change_share": 0.9, "min_records": 2}
        return source
    api = dict(records["api"])
    path = api["base_url"].partition("://")[2].partition("/")[2]
    api["base_url"] = f"{server.url}/{path}".rstrip("/")
    if api["auth"]["kind"] == "oauth2":
        api["auth"] = api["auth"] | {"token_url": f"{server.url}/um/oauth2/token"}
    api["budget"] = {"requests_per_minute": 60000, "burst": 1000}
    api["retry"] = {"attempts": 2, "total_seconds": 2}
    records["api"] = api
    if "days" in records:
        records["days"] = {"start": "2023-10-01", "today": "2023-11-08"}
    return source
