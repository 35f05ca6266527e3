"""How the difference between silver and its shadow is told in the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson


def describe(table: str, diff: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about a difference, the totals first."""
    of = ", ".join(f"{name} {_text(value)}" for name, value in diff["of"].items())
    yield (
        f"{table} by rules {diff['ruleset_version']} ({diff['rules_hash']}), "
        f"from {of or 'all of bronze'}:"
    )
    yield (
        f"{diff['added']} would be added, {diff['removed']} removed, {diff['changed']} changed; "
        f"{diff['same']} stay, {diff['unseen']} of them with other rules or provenance"
    )
    if diff["other_basis"]:
        yield f"{diff['other_basis']} of those differ in the versions of bronze behind them, too"
    yield from _scores(diff["scores"])
    for field, found in diff["fields"].items():
        yield from _field(field, found)
    for child, found in diff.get("children", {}).items():
        yield from _child(child, found)
    for verdict in ("added", "removed"):
        for record in diff["examples"][verdict]:
            yield _record(verdict, record)


def _scores(scores: Mapping[str, Any]) -> Iterator[str]:
    if scores["raised"] or scores["lowered"]:
        yield (
            f"score: {scores['raised']} raised, {scores['lowered']} lowered; "
            f"mean {scores['mean_before']} → {scores['mean_after']}"
        )


def _field(field: str, found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{field}: {found['changed']} changed"
    rules = set()
    for item in found["examples"]:
        before, after = item["won_before"], item["won_after"]
        yield (
            f"  {item['entity_id']}: {_text(item['before'])}{_winner(before)} → "
            f"{_text(item['after'])}{_winner(after)}"
        )
        if before and after and before["rule"] != after["rule"]:
            rules.add((before["rule"], after["rule"]))
    for was, now in sorted(rules):
        yield f"  rule: {was} → {now}"


def _winner(won: Mapping[str, Any] | None) -> str:
    return f" ({won['source']} {won['external_id']})" if won and won["source"] else ""


def _child(table: str, found: Mapping[str, Any]) -> Iterator[str]:
    if not any(found[verdict] for verdict in ("added", "removed", "changed")):
        return
    yield (
        f"{table}: {found['added']} rows would be added, {found['removed']} removed, "
        f"{found['changed']} changed"
    )
    for item in found["examples"]:
        place = f"  {item['entity_id']} {item['row']}: {item['verdict']}"
        changes = (
            f"{name} {_text(value)} → {_text(item['after'][name])}"
            for name, value in item["before"].items()
        )
        yield f"{place}, {', '.join(changes)}" if item["verdict"] == "changed" else place


def _record(verdict: str, record: Mapping[str, Any]) -> str:
    known_by = ", ".join(
        f"{name} {_text(value)}"
        for name, value in record.items()
        if name not in ("entity_id", "why")
    )
    why = f": {record['why']}" if "why" in record else ""
    return f"{verdict} {record['entity_id']} ({known_by}){why}"


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
