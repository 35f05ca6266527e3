"""Whether a changed message schema can still be read and written by those who know the published
one.

Compatible: new optional fields, longer limits, new event fields of any kind that readers may
ignore. Incompatible: a field that vanished, became required, changed its type, or lost an allowed
value; an incompatible message gets a new topic (`file.changed.v2`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_UPPER = ("maxLength", "maximum", "maxItems")
_LOWER = ("minLength", "minimum", "minItems")


def incompatibilities(published: Schema, proposed: Schema) -> list[str]:
    """Return what the proposed schema breaks; empty when old messages and old readers stay
    valid.
    """
    return list(_compare(published, proposed, (published, proposed), "message"))


def _compare(old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str) -> Iterator[str]:
    old, new = _resolve(old, roots[0]), _resolve(new, roots[1])
    yield from _compare_type(old, new, path)
    yield from _compare_limits(old, new, path)
    yield from _compare_alternatives(old, new, roots, path)
    yield from _compare_fields(old, new, roots, path)
    if "items" in old and "items" in new:
        yield from _compare(old["items"], new["items"], roots, f"{path}[]")


def _resolve(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _compare_type(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for key in ("type", "format", "pattern", "const"):
        if old.get(key) != new.get(key) and not (key == "pattern" and key not in new):
            yield f"`{path}`: {key} changed from {old.get(key)!r} to {new.get(key)!r}"
    lost = set(old.get("enum", ())) - set(new.get("enum", ()))
    if lost and "enum" in new:
        yield f"`{path}`: values {sorted(lost)} are no longer allowed"
    if "enum" in new and "enum" not in old and "const" not in old:
        yield f"`{path}`: is now limited to {new['enum']}"


def _compare_limits(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for key in _UPPER:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"`{path}`: {key} shrank to {new[key]}"
    for key in _LOWER:
        if key in new and new[key] > old.get(key, float("-inf")) and new[key] > 0:
            yield f"`{path}`: {key} grew to {new[key]}"


def _compare_alternatives(
    old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str
) -> Iterator[str]:
    for number, alternative in enumerate(old.get("anyOf", ())):
        candidates = new.get("anyOf", (new,))
        if not any(
            not list(_compare(alternative, candidate, roots, path)) for candidate in candidates
        ):
            yield f"`{path}`: alternative {number} is gone"


def _compare_fields(
    old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str
) -> Iterator[str]:
    fields, proposed = old.get("properties", {}), new.get("properties", {})
    for name, field in fields.items():
        if name not in proposed:
            yield f"`{path}.{name}`: the field is gone"
        else:
            yield from _compare(field, proposed[name], roots, f"{path}.{name}")
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"`{path}.{name}`: the field became required"
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"`{path}`: unknown fields are now refused"
