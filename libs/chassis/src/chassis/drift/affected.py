"""Which silver fields are made of a field at the source, as the entity rules in
`config/entities/` say it.

Read for people who decide about a change: leniently, since whether the rules are right is judged
by the transformer.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from chassis.logs import get_logger

_WORD = re.compile(r"\w+")
_SUFFIX = re.compile(r"(\[\]|\.\*)")


def silver_fields(
    directory: Path, *, system: str, entity_type: str, fields: Collection[str]
) -> list[str]:
    """Return the silver fields that these source fields end in, as `table.field`.

    Args:
        directory: The configuration folder.
        system: What bronze calls the source system.
        entity_type: Of the records.
        fields: At the source; `a.b` lies in `a`, `a[]` is an item of `a`.
    """
    found: list[str] = []
    for path in sorted((directory / "entities").glob("*.yaml")):
        try:
            document = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            get_logger().warning("entity_rules_unreadable", file=path.name, error=error)
            continue
        if isinstance(document, dict) and _is_made_of(document, system, entity_type):
            table = str(document.get("table", entity_type))
            found += [f"{table}.{name}" for name in _fields(document, fields)]
    return found


def _is_made_of(document: Mapping[str, Any], system: str, entity_type: str) -> bool:
    systems = {
        source["system"]
        for source in document.get("sources") or ()
        if isinstance(source, dict) and "system" in source
    }
    return document.get("entity_type") == entity_type and (not systems or system in systems)


def _fields(document: Mapping[str, Any], fields: Collection[str]) -> list[str]:
    changed = {_SUFFIX.sub("", field) for field in fields}
    words = {
        name
        for name, rule in _mappings(document, "inputs").items()
        if any(_touches(str(rule.get("path", name)), field) for field in changed)
    }
    affected = _made_of(words, _mappings(document, "fields"))
    words |= set(affected)
    # A derived field may be made of those before it.
    for name, rule in _mappings(document, "derived").items():
        if _made_of(words, {name: rule}):
            affected.append(name)
            words.add(name)
    return affected


def _made_of(words: Collection[str], rules: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        name
        for name, rule in rules.items()
        if not set(words).isdisjoint(_WORD.findall(str(rule.get("rule", name))))
    ]


def _mappings(document: Mapping[str, Any], section: str) -> dict[str, dict[str, Any]]:
    found = document.get(section)
    if not isinstance(found, dict):
        return {}
    return {str(name): rule for name, rule in found.items() if isinstance(rule, dict)}


def _touches(path: str, field: str) -> bool:
    return path == field or path.startswith(f"{field}.") or field.startswith(f"{path}.")
