"""What records and files look like: field → kinds of values, and how two of that differ.

A shape never shrinks: what was seen and accepted once stays acceptable. So an equal signature
needs no second look, and looking costs a record next to nothing.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, TypeAlias

from contracts.drifts import ABSENT, FieldChange, FieldEffect

Shape: TypeAlias = dict[str, str]
"""Field to its kinds, separated by `|`. `a.b` is a field of an object, `a[]` an item of a list,
`a.*` any field of an object whose names are data."""

NULL, INTEGER, NUMBER = "null", "integer", "number"

MAX_FIELDS = 2000
"""Of one data set; beyond them, new ones are neither learnt nor told."""

MAX_NAMES = 50
"""An object with more different names than that is a map: its names are data."""

_MAX_DEPTH = 6
_MAX_PATH = 200
_KINDS: Mapping[type, str] = {
    type(None): NULL,
    bool: "boolean",
    int: INTEGER,
    float: NUMBER,
    str: "string",
    dict: "object",
    list: "array",
}
KINDS = frozenset(_KINDS.values())
_NESTED = frozenset({dict, list})


def signature(record: Mapping[str, Any]) -> Hashable:
    """Return what is equal for records of equal shape."""
    values = record.values()
    kinds = tuple(map(type, values))
    if _NESTED.isdisjoint(kinds):  # as nearly all are; no value costs a call of Python
        return tuple(record), kinds
    within = [_sign(value) for value in values if type(value) in _NESTED]
    return tuple(record), kinds, tuple(within)


def _sign(value: Any) -> Hashable:
    if isinstance(value, dict):
        return signature(value)
    if isinstance(value, list):
        kinds = frozenset(map(type, value))
        return kinds if _NESTED.isdisjoint(kinds) else frozenset(map(_sign, value))
    return type(value).__name__


def shape_of(record: Mapping[str, Any], known: Mapping[str, str]) -> Shape:
    """Return the shape of a record; where `known` has a map, names are not looked at."""
    kinds: dict[str, set[str]] = {}
    _look(record, "", kinds, known=known, depth=1)
    return {path: _joined(found) for path, found in kinds.items()}


def _look(
    value: Mapping[str, Any],
    prefix: str,
    kinds: dict[str, set[str]],
    *,
    known: Mapping[str, str],
    depth: int,
) -> None:
    is_map = bool(prefix) and (len(value) > MAX_NAMES or f"{prefix}*" in known)
    for name, item in value.items():
        path = f"{prefix}*" if is_map else f"{prefix}{name}"[:_MAX_PATH]
        if len(kinds) >= MAX_FIELDS and path not in known:
            continue
        _look_at(item, path, kinds, known=known, depth=depth)


def _look_at(
    item: Any, path: str, kinds: dict[str, set[str]], *, known: Mapping[str, str], depth: int
) -> None:
    kinds.setdefault(path, set()).add(_KINDS.get(type(item), "string"))
    if depth >= _MAX_DEPTH:
        return
    if isinstance(item, dict):
        _look(item, f"{path}.", kinds, known=known, depth=depth + 1)
    elif isinstance(item, list):
        for each in item:
            _look_at(each, f"{path}[]", kinds, known=known, depth=depth + 1)


def merged(*shapes: Mapping[str, str]) -> Shape:
    """Return the shape that takes whatever one of them takes."""
    kinds: dict[str, set[str]] = {}
    for shape in shapes:
        for path, text in shape.items():
            if path in kinds or len(kinds) < MAX_FIELDS:
                kinds.setdefault(path, set()).update(text.split("|"))
    return _with_maps({path: _joined(found) for path, found in kinds.items()})


def _joined(kinds: set[str]) -> str:
    if NUMBER in kinds:
        kinds = kinds - {INTEGER}
    if len(kinds) > 1:
        kinds = kinds - {NULL}
    return "|".join(sorted(kinds))


def _with_maps(shape: Shape) -> Shape:
    """Return the shape with objects of very many names turned into maps."""
    parents = Counter(path.rpartition(".")[0] for path in shape if not path.endswith("[]"))
    crowded = [f"{path}." for path, count in parents.items() if path and count > MAX_NAMES]
    for prefix in sorted(crowded, key=len):
        folded = [(_folded(path, prefix), kinds) for path, kinds in shape.items()]
        found: dict[str, set[str]] = {}
        for path, kinds in folded:
            found.setdefault(path, set()).update(kinds.split("|"))
        shape = {path: _joined(kinds) for path, kinds in found.items()}
    return shape


def _folded(path: str, prefix: str) -> str:
    if not path.startswith(prefix):
        return path
    name, separator, rest = path[len(prefix) :].partition(".")
    lists = "[]" * name.count("[]") if name.endswith("[]") else ""
    return f"{prefix}*{lists}{separator}{rest}"


def compare(
    known: Mapping[str, str], seen: Mapping[str, str], required: Collection[str] = ()
) -> tuple[FieldChange, ...]:
    """Return how what was seen differs from what is known; nothing where it merely says less."""
    return (*_removed(known, seen, required), *_changed(known, seen))


def _removed(
    known: Mapping[str, str], seen: Mapping[str, str], required: Collection[str]
) -> Iterable[FieldChange]:
    for path in required:
        kinds = known.get(path)
        if path not in seen and (kinds is None or ABSENT not in kinds.split("|")):
            yield FieldChange(path, FieldEffect.REMOVED, kinds, None)


def _changed(known: Mapping[str, str], seen: Mapping[str, str]) -> Iterable[FieldChange]:
    is_full = len(known) >= MAX_FIELDS
    retyped: list[str] = []
    for path, kinds in seen.items():
        if any(path.startswith((f"{parent}.", f"{parent}[")) for parent in retyped):
            continue  # what lies within goes with it
        before = known.get(path)
        if before is None:
            if not is_full:
                yield FieldChange(path, FieldEffect.ADDED, None, kinds)
            continue
        effect = _effect(set(before.split("|")), set(kinds.split("|")))
        if effect is not None:
            yield FieldChange(path, effect, before, kinds)
        if effect is FieldEffect.RETYPED:
            retyped.append(path)


def _effect(before: set[str], now: set[str]) -> FieldEffect | None:
    before = before - {ABSENT}
    new = now - _taken(before)
    if not new or before <= {NULL}:
        return None
    if new == {NUMBER} and INTEGER in before:
        return FieldEffect.WIDENED
    return FieldEffect.RETYPED


def _taken(kinds: set[str]) -> set[str]:
    """Return what a field of these kinds takes: nobody is asked about a null or a whole number."""
    return kinds | {NULL} | ({INTEGER} if NUMBER in kinds else set())


def says_more(known: Mapping[str, str], seen: Mapping[str, str]) -> bool:
    """Return whether merging what was seen into what is known would change anything."""
    return any(
        before is None or not set(kinds.split("|")) <= _taken(set(before.split("|")))
        for path, kinds in seen.items()
        if (before := known.get(path)) != kinds and (before is not None or len(known) < MAX_FIELDS)
    )


def with_changes(
    known: Mapping[str, str], seen: Mapping[str, str], changes: Iterable[FieldChange]
) -> Shape:
    """Return the known shape as it will be once the changes are accepted."""
    absent = {
        change.field: f"{change.old}|{ABSENT}" if change.old else ABSENT
        for change in changes
        if change.effect is FieldEffect.REMOVED
    }
    return merged(known, seen, absent)
