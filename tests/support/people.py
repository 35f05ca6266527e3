"""The people of `directory/three_sources_febrl`: made-up persons in three disagreeing sources, and
the truth about who is who."""

import base64
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import shared_data


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record as its source tells it."""

    source_system: str
    external_id: str
    person: str
    """The truth."""

    document: dict[str, Any]

    @property
    def record_id(self) -> str:
        return f"{self.source_system}/{self.external_id}"


def load_people() -> list[SourceRecord]:
    """Return every record of the three sources, in the order of the files."""
    folder = shared_data("directory", "three_sources_febrl")
    truth = _truth(folder)
    return [*_tdx(folder, truth), *_umich_api(folder, truth), *_mcommunity(folder, truth)]


def withhold(records: list[SourceRecord]) -> list[SourceRecord]:
    """Take away what names a person: uniqname, ids, e-mail, and external ids made of them."""
    secret = {
        *("UID", "ReferenceID", "UserName", "AlternateID", "ExternalID", "AuthenticationUserName"),
        *("PrimaryEmail", "AlertEmail", "AlternateEmail", "ReportsToUID"),
        *("EmplId", "UniqName", "SupervisorId"),
        *("dn", "uid", "mail", "uidNumber"),
    }
    return [
        SourceRecord(
            item.source_system,
            f"row-{number}",
            item.person,
            {key: value for key, value in item.document.items() if key not in secret},
        )
        for number, item in enumerate(records)
    ]


def pairs(groups: Iterator[list[str]] | list[list[str]]) -> set[tuple[str, str]]:
    """Return every pair of records that stand in one group."""
    return {
        (first, second)
        for group in groups
        for index, first in enumerate(sorted(group))
        for second in sorted(group)[index + 1 :]
    }


def precision_and_recall(
    found: set[tuple[str, str]], true: set[tuple[str, str]]
) -> tuple[float, float]:
    return len(found & true) / len(found), len(found & true) / len(true)


def true_pairs(records: list[SourceRecord]) -> set[tuple[str, str]]:
    persons: dict[str, list[str]] = {}
    for item in records:
        persons.setdefault(item.person, []).append(item.record_id)
    return pairs(list(persons.values()))


def _truth(folder: Path) -> dict[tuple[str, str], str]:
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {
            (column, row[column]): row["person"]
            for row in csv.DictReader(file)
            for column in ("tdx_UID", "umapi_EmplId", "ldap_dn")
            if row[column]
        }


def _tdx(folder: Path, truth: dict[tuple[str, str], str]) -> Iterator[SourceRecord]:
    for item in json.loads((folder / "tdx_people.json").read_text("utf-8")):
        yield SourceRecord("tdx", item["UID"], truth["tdx_UID", item["UID"]], item)


def _umich_api(folder: Path, truth: dict[tuple[str, str], str]) -> Iterator[SourceRecord]:
    rows = json.loads((folder / "umapi_department_employees.json").read_text("utf-8"))
    seen: dict[str, int] = {}
    for item in rows:
        employee = item["EmplId"]
        number = seen[employee] = seen.get(employee, -1) + 1
        external_id = f"{employee}-{number}"
        yield SourceRecord("umich_api", external_id, truth["umapi_EmplId", employee], item)


def _mcommunity(folder: Path, truth: dict[tuple[str, str], str]) -> Iterator[SourceRecord]:
    for entry in parse_ldif((folder / "mcommunity_people.ldif").read_text("utf-8")):
        if "uid" in entry:
            (dn,) = entry["dn"]
            yield SourceRecord("mcommunity_ldap", dn, truth["ldap_dn", dn], dict(entry))


def parse_ldif(text: str) -> Iterator[dict[str, list[str]]]:
    """Yield entries as attribute → values, folded lines joined and base64 decoded."""
    for block in text.replace("\n ", "").split("\n\n"):
        entry: dict[str, list[str]] = {}
        for line in block.splitlines():
            name, _, value = line.partition(":")
            if value.startswith(":"):
                value = base64.b64decode(value[1:].strip()).decode()
            entry.setdefault(name, []).append(value.strip())
        if "dn" in entry:
            yield entry
