"""Which mask each column gets; a column that no rule names stops the plan (fail closed)."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from refresher.domain.catalog import Column, TypeKind
from refresher.domain.config import MaskClass, MaskingConfig, MaskMethod, MaskRule
from refresher.domain.masking import read_path, supports
from refresher.domain.plan import Mask


@dataclass(frozen=True, slots=True)
class Classified:
    """The masks of a table, and what is wrong with the rules."""

    masks: tuple[Mask, ...]
    problems: tuple[str, ...]


def classify(
    table: str,
    columns: Iterable[Column],
    masking: MaskingConfig | None,
    *,
    unique: Iterable[str] = (),
) -> Classified:
    """Return what happens to each column on its way.

    Args:
        table: The table's key, as rules name it.
        columns: What is carried.
        masking: The rules; None classifies nothing.
        unique: Columns of keys, which must not be emptied or made equal.
    """
    if masking is None:
        problem = (
            f"{table}: the configuration has no section `masking`, so no column is classified "
            "and nothing may leave production"
        )
        return Classified((), (problem,))
    masks: list[Mask] = []
    problems: list[str] = []
    keys = set(unique)
    for column in columns:
        rule = next((rule for rule in masking.rules if _fits(rule, table, column)), None)
        if rule is None:
            problems.append(
                f"{table}.{column.name} ({column.type}): no masking rule says what it is"
            )
            continue
        chosen = masking.classes[rule.mask_class]
        if found := _problem(column, chosen, rule, is_key=column.name in keys):
            problems.append(f"{table}.{column.name}: {found}")
        elif chosen.method is not MaskMethod.KEEP or rule.json_paths:
            masks.append(_mask(column, chosen, rule, masking))
    return Classified(tuple(masks), tuple(problems))


def _fits(rule: MaskRule, table: str, column: Column) -> bool:
    if rule.types and column.kind.value not in rule.types:
        return False
    name = f"{table}.{column.name}".lower()
    return not rule.columns or any(fnmatchcase(name, item.lower()) for item in rule.columns)


def _problem(column: Column, chosen: MaskClass, rule: MaskRule, *, is_key: bool) -> str | None:
    if not supports(column.kind, chosen.method):
        return f"`{chosen.method.value}` cannot mask a {column.kind.value} ({column.type})"
    if chosen.method is MaskMethod.NULL and not column.is_nullable:
        return "`null` is no value that the column takes"
    if chosen.method in (MaskMethod.NULL, MaskMethod.FIXED) and is_key:
        return f"`{chosen.method.value}` would make the values of a key equal"
    if chosen.value is not None and column.length is not None and len(chosen.value) > column.length:
        return f"the fixed text is longer than {column.length}"
    if rule.json_paths and column.kind is not TypeKind.JSON:
        return "`json_paths` belong to JSON columns"
    return _bad_path(rule.json_paths)


def _bad_path(paths: Iterable[str]) -> str | None:
    for path in paths:
        try:
            read_path(path)
        except ValueError as error:
            return str(error)
    return None


def _mask(column: Column, chosen: MaskClass, rule: MaskRule, masking: MaskingConfig) -> Mask:
    return Mask(
        column=column.name,
        kind=column.kind,
        type=column.type,
        length=column.length,
        base=column.facts.get("base", ""),
        mask_class=rule.mask_class,
        method=chosen.method,
        value=chosen.value,
        json_paths=tuple(
            (path, name, masking.classes[name].method, masking.classes[name].value)
            for path, name in rule.json_paths.items()
        ),
    )
