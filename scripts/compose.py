"""The sources of docker-compose.yml: those of config/, on the sample servers that Compose starts.

Imported by `manifests.py`, which writes and checks the file.
"""

from pathlib import Path
from typing import Any

import yaml

_PRESETS = ("mcommunity.yaml", "teamdynamix.yaml", "umich-api.yaml", "daily-market.yaml")
_NOT_THERE = frozenset({"mcommunity_groups"})
"""The sample directory has people only."""

_API = "http://sample-api:8090"
_PLACES = {"tdx": "/TDWebApi", "umich_api": "/um/bf"}
_DIRECTORY = "ldap://slapd:1389"
_HOLDINGS = "/samples/market"
_LAST_DAY = "2023-11-09"
"""The series of the examples end here."""

Source = dict[str, Any]


def compose_sources(config: Path) -> dict[str, Any]:
    """Return `sources.yaml` for the hub of docker-compose.yml."""
    files = yaml.safe_load((config / "sources.yaml").read_text("utf-8"))["sources"]
    records = [
        _on_samples(source)
        for name in _PRESETS
        for source in yaml.safe_load((config / "presets" / name).read_text("utf-8"))["sources"]
        if source["name"] not in _NOT_THERE
    ]
    for source in files:
        source["scan"]["institutions_file"] = "monitored_institutions.yaml"
    return {"version": 1, "sources": [*files, *records]}


def _on_samples(source: Source) -> Source:
    records = source["records"]
    if records["kind"] == "file-list":
        records |= {"share": {"kind": "local", "root": _HOLDINGS}, "path": "holdings.csv"}
        records.pop("clean_list", None)
        source["scan"]["band"]["min_records"] = 1
    elif records["kind"] == "ldap":
        records |= {"url": _DIRECTORY, "allow_unencrypted": True}
    else:
        records["api"] = _sample_api(dict(records["api"]), str(source.get("system")))
    if "days" in records:
        records["days"] |= {"start": "2023-01-01", "today": _LAST_DAY}
    return source


def _sample_api(api: dict[str, Any], system: str) -> dict[str, Any]:
    api.pop("budget", None)  # of the real providers' plans
    api["base_url"] = _API + _PLACES.get(system, "")
    if api["auth"]["kind"] == "oauth2":
        api["auth"] = {**api["auth"], "token_url": f"{_API}/um/oauth2/token"}
    return api
