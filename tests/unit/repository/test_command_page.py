"""docs/operations/commands.md tells a working line for every command topic."""

import json

from contracts.topics import TOPICS
from tests.support.command_page import examples


def test_every_command_topic_has_one_example() -> None:
    named = sorted(item.topic for item in examples())

    assert named == sorted(topic.name for topic in TOPICS if topic.is_command)


def test_every_example_keeps_the_contract_and_says_who_asks() -> None:
    by_name = {topic.name: topic for topic in TOPICS}
    for item in examples():
        command = by_name[item.topic].data.model_validate_json(item.body)
        assert "requester" in command.model_fields_set
        assert json.dumps(json.loads(item.body)) == item.body, "one line of plain JSON"
