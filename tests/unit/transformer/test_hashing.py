from tests.unit.transformer.calls import document, head, merged, transcripts
from transformer.adapters.entity_files import parse_entity

RULES = transcripts()


THINGS = """
version: 1
entity_type: thing
table: things
ruleset_version: 3
inputs:
  name: {path: name, type: text}
  made: {path: made, type: date}
  tags: {path: tags, type: texts}
sources: [{name: first}]
fields:
  name: {type: text, rule: name, group: all}
  made: {type: date, rule: made, group: all}
  tags: {type: "text[]", rule: tags, group: all}
  is_named: {type: boolean, rule: name IS NOT NULL, group: all}
children:
  - table: parts
    of: all
    each: parts
    number: part_number
    inputs: {part: {path: parts.name, type: text}}
    fields: {part: {type: text, rule: part}}
rollups: {part_count: {of: parts, rule: COUNT(*)}}
"""


def test_the_form_that_is_hashed_has_not_changed() -> None:
    # Another value here makes every silver record of every installation look changed once.
    content = {
        "name": 'Zoë "Z"\n',
        "made": "2024-02-28",
        "tags": ["a", "b"],
        "parts": [{"name": "x"}, {}],
    }
    record = merged(parse_entity(THINGS, name="things.yaml"), head(content))
    assert (record.content_hash, record.state_hash) == (
        "b2ee8a615a3deb8d43d99b44cf3c78b1bd80844ef52dd7c422406148431cb73e",
        "8c12a525b309e8b0f3dc2612cee1aaa807e793ddba1b3721e98fbc8e67f269d4",
    )


def test_every_part_that_a_reader_sees_is_hashed() -> None:
    base = merged(RULES, head()).content_hash
    sections = [
        {"name": "Q&A", "turns": [{"speaker_id": "3", "speaker_type": "q", "paragraphs": ["A b"]}]}
    ]
    swapped = [
        {"name": "Q&A", "turns": [{"speaker_id": "3", "speaker_type": "q", "paragraphs": ["B a"]}]}
    ]
    others = {
        base,
        merged(RULES, head(document(title="T"))).content_hash,
        merged(RULES, head(document(sections=sections))).content_hash,
        merged(RULES, head(document(sections=swapped))).content_hash,
        merged(RULES, head(), head(document("Raw", "6"))).content_hash,
        merged(RULES, head(external_id="elsewhere.xml")).content_hash,
    }
    assert len(others) == 6


def test_the_bronze_version_is_part_of_the_state_and_not_of_the_content() -> None:
    first, second = merged(RULES, head()), merged(RULES, head(version=2))
    assert first.content_hash == second.content_hash
    assert first.state_hash != second.state_hash
