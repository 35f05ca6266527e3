"""Names of dead-letter topics, read back."""

import pytest

from contracts.dead_letters import DeadLetterTopic, parse_topic
from contracts.topics import TOPICS


def test_the_name_of_every_dead_letter_topic_says_whose_it_is() -> None:
    for topic in TOPICS:
        for consumer in topic.consumers:
            found = parse_topic(topic.dead_letters_of(consumer))
            assert found == DeadLetterTopic(topic.name, consumer.replace("_", "-"))


@pytest.mark.parametrize("name", ["file.changed", "dead", ".dead", "ingestor.dead", ".x.dead", ""])
def test_other_names_are_none(name: str) -> None:
    assert parse_topic(name) is None
