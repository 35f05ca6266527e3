from pathlib import Path

import pytest

from chassis.sources import ConfigError
from tests.support.paths import PROJECT
from transformer.adapters.entity_files import load_entities, parse_entity
from transformer.errors import RuleError

RULES = """
version: 1
entity_type: thing
table: things
ruleset_version: 1
inputs: {name: {path: name, type: text}}
sources: [{name: first, when: "source_system = 'a'"}, {name: second, system: b}]
newest_first: [name]
fields:
  name: {type: text, rule: name, group: all}
children:
  - table: parts
    of: all
    each: parts
    number: part_number
    inputs: {part: {path: parts.name, type: text}}
    fields: {part: {type: text, rule: part}}
rollups: {part_count: {of: parts, rule: COUNT(*)}}
derived: {is_named: {type: boolean, rule: name IS NOT NULL}}
validations: [{name: named, rule: is_named, message: it needs a name}]
quality:
  sources: [{name: first}]
  key_fields: [name]
  mismatches: [{field: name}]
  informational: [{flag: partless, when: part_count = 0}]
"""


def test_the_shipped_rules_can_be_used() -> None:
    entities = load_entities(PROJECT / "config")
    market = {"company", "stock_price", "dcf_valuation"}
    assert set(entities) == {"transcript", "user", "department", "group"} | market


def test_the_rules_of_this_test_can_be_used() -> None:
    entity = parse_entity(RULES, name="things.yaml")
    assert entity.columns == ("name", "part_count", "is_named")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1", "version: 2", "version: "),
        ("table: things", "table: Things", "table: "),
        ("table: things", "tabel: things", "tabel: Extra inputs are not permitted"),
        ("rule: name, group", "rule: nam, group", "fields.name.rule: `nam` is no column here"),
        ("source_system = 'a'", "NOW() > 'a'", "sources.first.when: `NOW` is refused"),
        ("source_system = 'a'", "source_system", "gives String, not Boolean"),
        ("newest_first: [name]", "newest_first: [age]", "newest_first: `age` is unknown"),
        ("of: all", "of: some", "children.of: `some` is unknown; known: all"),
        ("of: parts, rule", "of: bits, rule", "rollups.of: `bits` is unknown"),
        ("rule: COUNT(*)", "rule: part", "rollups.part_count.rule: "),
        ("rule: part}", "rule: name}", "children.parts.fields.part.rule: `name` is no column"),
        ("number: part_number", "number: part", "children.parts.number: `part` is taken"),
        ("name IS NOT NULL", "MAX(name) = name", "derived.is_named.rule: `MAX` looks at several"),
        ("rule: is_named", "rule: isnamed", "validations.named.rule: `isnamed` is no column"),
        ("sources: [{name: first}]", "sources: [{name: third}]", "`third` is no source"),
        ("key_fields: [name]", "key_fields: [age]", "quality.key_fields: `age` is unknown"),
        ("[{field: name}]", "[{field: age}]", "quality.mismatches.field: `age` is unknown"),
        ("part_count = 0", "part_count", "quality.informational.partless.when: gives Int32"),
        ("table: parts", "table: things", "table `things` stands twice"),
        ("name: second", "name: first", "source `first` stands twice"),
        ("is_named: {", "version: {", "column `version` stands twice or is reserved"),
        ("inputs: {name:", "inputs: {external_id: {path: a, type: text}, name:", "inputs.external"),
        ("inputs:", "inputs: [", "is not valid YAML"),
    ],
)
def test_an_unusable_rule_is_named_with_its_file(old: str, new: str, message: str) -> None:
    with pytest.raises((ConfigError, RuleError)) as caught:
        parse_entity(RULES.replace(old, new, 1), name="things.yaml")
    assert caught.value.message.startswith("`things.yaml`")
    assert message in caught.value.message


def test_a_folder_without_rules_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no rules"):
        load_entities(tmp_path)


def test_an_entity_type_has_rules_in_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "entities"
    folder.mkdir()
    for name in ("one.yaml", "two.yaml"):
        (folder / name).write_text(RULES)
    with pytest.raises(RuleError, match=r"`two.yaml`: `thing` has rules in another file too"):
        load_entities(tmp_path)
