"""Whether a changed message schema can still be read and written by those who know the published
one.

Compatible: new optional fields, longer limits, new allowed values. Incompatible: a field that
vanished, became required, changed its type, lost an allowed value or got a tighter limit; and, in
an event, a required field that became optional, because its readers count on it. (A command is
read by its owner only, who is deployed first; it is recognised by refusing unknown fields.) An
incompatible message gets a new topic, such as `file.changed.v2`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_UPPER = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_LOWER = {
    "minLength": 0,
    "minItems": 0,
    "minProperties": 0,
    "minimum": float("-inf"),
    "exclusiveMinimum": float("-inf"),
}
"""Lower limits, and what their absence means."""

_OPAQUE = ("allOf", "oneOf", "not", "if", "patternProperties", "propertyNames", "dependentRequired")
"""What our models do not produce: any change in them is taken for incompatible."""


def incompatibilities(published: Schema, proposed: Schema) -> list[str]:
    """Return what the proposed schema breaks; empty when old messages and old readers stay
    valid.
    """
    return list(_compare(published, proposed, (published, proposed), "message"))


def _compare(old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str) -> Iterator[str]:
    old, new = _resolve(old, roots[0]), _resolve(new, roots[1])
    yield from _compare_type(old, new, path)
    yield from _compare_values(old, new, path)
    yield from _compare_limits(old, new, path)
    yield from _compare_alternatives(old, new, roots, path)
    yield from _compare_fields(old, new, roots, path)
    yield from _compare_unnamed_fields(old, new, roots, path)
    yield from _compare_items(old, new, roots, path)


def _resolve(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _compare_type(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for key in ("type", "format", *_OPAQUE):
        if old.get(key) != new.get(key):
            yield f"`{path}`: {key} changed from {old.get(key)!r} to {new.get(key)!r}"
    for key in ("pattern", "multipleOf", "uniqueItems"):
        # Taking such a rule away only widens what is allowed.
        if key in new and old.get(key) != new[key]:
            yield f"`{path}`: {key} changed from {old.get(key)!r} to {new[key]!r}"


def _compare_values(old: Schema, new: Schema, path: str) -> Iterator[str]:
    allowed, proposed = _values(old), _values(new)
    if proposed is None:
        return
    if allowed is None:
        yield f"`{path}`: is now limited to {proposed}"
    elif lost := [value for value in allowed if value not in proposed]:
        yield f"`{path}`: values {lost} are no longer allowed"


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _compare_limits(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for key in _UPPER:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"`{path}`: {key} shrank to {new[key]}"
    for key, absent in _LOWER.items():
        if key in new and new[key] > old.get(key, absent):
            yield f"`{path}`: {key} grew to {new[key]}"


def _compare_alternatives(
    old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str
) -> Iterator[str]:
    if "anyOf" in new and "anyOf" not in old and "type" not in old:
        yield f"`{path}`: is now limited to alternatives"
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
    needed, needed_now = set(old.get("required", ())), set(new.get("required", ()))
    for name, field in fields.items():
        if name not in proposed:
            yield f"`{path}.{name}`: the field is gone"
        else:
            yield from _compare(field, proposed[name], roots, f"{path}.{name}")
    for name in sorted(needed_now - needed):
        yield f"`{path}.{name}`: the field became required"
    if old.get("additionalProperties") is not False:
        for name in sorted((needed - needed_now) & set(proposed)):
            yield f"`{path}.{name}`: the field became optional, and its readers count on it"


def _compare_unnamed_fields(
    old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str
) -> Iterator[str]:
    before, now = old.get("additionalProperties", True), new.get("additionalProperties", True)
    if before is False or now is True:
        return
    if now is False:
        yield f"`{path}`: unknown fields are now refused"
    elif before is True:
        yield f"`{path}.*`: values are now limited to {now}"
    else:
        yield from _compare(before, now, roots, f"{path}.*")


def _compare_items(
    old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str
) -> Iterator[str]:
    if "items" in new and "items" not in old and old.get("type") == "array":
        yield f"`{path}[]`: values are now limited to {new['items']}"
    if "items" in new and "items" in old:
        yield from _compare(old["items"], new["items"], roots, f"{path}[]")
    before, now = old.get("prefixItems", ()), new.get("prefixItems", ())
    if len(before) != len(now):
        yield f"`{path}`: the number of places changed from {len(before)} to {len(now)}"
    for number, (item, proposed) in enumerate(zip(before, now, strict=False)):
        yield from _compare(item, proposed, roots, f"{path}[{number}]")
