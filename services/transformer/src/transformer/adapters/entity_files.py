"""The rules on disk: every `entities/*.yaml` of the configuration folder."""

from pathlib import Path

from chassis.sources import ConfigError, parse_model, parse_yaml
from transformer.domain.entity import Entity, compile_entity
from transformer.domain.references import check_references
from transformer.domain.rules import EntityConfig
from transformer.errors import RuleError


def load_entities(config_directory: Path) -> dict[str, Entity]:
    """Read and compile all rules, by entity type.

    Raises:
        ConfigError: there is no file, one cannot be read, or breaks the structure.
        RuleError: a rule cannot be used; names the file and the field.
    """
    folder = config_directory / "entities"
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ConfigError(f"`{folder}` holds no rules (*.yaml)")
    entities: dict[str, Entity] = {}
    for path in paths:
        entity = _compile(parse_model(EntityConfig, path), path.name)
        if entity.entity_type in entities:
            raise RuleError(f"`{path.name}`: `{entity.entity_type}` has rules in another file too")
        entities[entity.entity_type] = entity
    for entity in entities.values():
        check_references(entity, entities)
    return entities


def parse_entity(text: str, *, name: str) -> Entity:
    """Compile the rules in a YAML text; `name` is what error messages call it.

    Raises:
        ConfigError: the text is not YAML, or breaks the structure.
        RuleError: a rule cannot be used.
    """
    return _compile(parse_yaml(EntityConfig, text, name=name), name)


def _compile(config: EntityConfig, name: str) -> Entity:
    try:
        return compile_entity(config)
    except RuleError as error:
        raise RuleError(f"`{name}`: {error.message}", file=name) from error
