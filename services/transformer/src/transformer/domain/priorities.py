"""The same rules with another order of sources, for a look at what that would change."""

from collections.abc import Iterable

from pydantic import ValidationError

from transformer.domain.entity import Entity, compile_entity
from transformer.domain.rules import EntityConfig
from transformer.errors import RuleError


def with_priority(entity: Entity, orders: Iterable[str]) -> Entity:
    """Return rules in which `email=umich_api>tdx` stands as the `priority` of `email`.

    Fields that are won together get the order together.

    Raises:
        RuleError: the field or a source is unknown.
    """
    config = entity.config
    document = config.model_dump(mode="json")
    for order in orders:
        field, _, names = order.partition("=")
        if field not in config.fields:
            known = ", ".join(config.fields)
            raise RuleError(f"`{order}`: `{field}` is no field; known: {known}")
        for member in config.units()[config.unit_of(field)]:
            document["fields"][member]["priority"] = names.split(">")
    try:
        changed = EntityConfig.model_validate(document)
    except ValidationError as error:
        raise RuleError("; ".join(str(item["msg"]) for item in error.errors())) from error
    return compile_entity(changed)
