"""Reads a refresh configuration; one file may extend another, as test settings extend production's.

`extends: config.yaml` merges mappings key by key and tables by name; the extending file wins.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from chassis.sources import ConfigError, validate
from contracts.errors import ErrorCategory
from refresher.domain.config import RefreshConfig

_DEEPEST = 5


def load_config(path: Path) -> RefreshConfig:
    """Read and validate a configuration.

    Raises:
        ConfigError: it cannot be read, is not YAML, or breaks the structure; names each problem.
    """
    return validate(RefreshConfig, _read(path, depth=0), name=path.name)


def _read(path: Path, *, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ConfigError(f"`{path.name}`: files extend each other in a circle")
    document = _parse(path)
    parent = document.pop("extends", None)
    if parent is None:
        return document
    return _merge(_read(path.parent / Path(str(parent)).name, depth=depth + 1), document)


def _parse(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"`{path.name}` cannot be read: {error}", category=ErrorCategory.CONFIG_LOAD
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(
            f"`{path.name}` is not valid YAML: {error}", category=ErrorCategory.CONFIG_PARSE
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(f"`{path.name}` is not a mapping")
    return document


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        if name == "tables" and isinstance(old, list) and isinstance(value, list):
            merged[name] = _merge_tables(old, value)
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[name] = _merge(old, value)
        else:
            merged[name] = value
    return merged


def _merge_tables(below: list[Any], above: list[Any]) -> list[Any]:
    """Return the tables of the extending file, each on top of its namesake."""
    known = {item.get("name"): item for item in below if isinstance(item, Mapping)}
    return [
        {**known.get(item.get("name"), {}), **item} if isinstance(item, Mapping) else item
        for item in above
    ]
