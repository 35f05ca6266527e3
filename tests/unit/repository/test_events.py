"""What CONTRIBUTING promises under "add an event": a step that was left out is told by name."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_args

import pytest
from pydantic import BaseModel

import contracts
from contracts import topics
from contracts.commands import Command
from contracts.topics import TOPICS, Topic
from contracts.types import Message
from tests.support.paths import PROJECT

BUILT = ("scanner", "ingestor", "transformer", "refresher", "wrds_sync")

BY_THE_CHASSIS = {"run.changed", "schema.drifted"}
"""Published for every service that has runs, by `chassis.runs`, or sees schemas, by
`chassis.drift`."""


def test_every_message_is_carried_by_a_topic() -> None:
    carried = {found for topic in TOPICS for found in _within(topic.data)}
    declared = {
        found
        for module in iter_modules(contracts.__path__)
        for found in vars(import_module(f"contracts.{module.name}")).values()
        if isinstance(found, type) and issubclass(found, Message)
    }
    forgotten = declared - carried - {Message, Command}
    assert {found.__name__ for found in forgotten} == set(), "declare a topic in contracts.topics"


def test_every_declared_topic_is_registered() -> None:
    declared = {name for name, found in vars(topics).items() if isinstance(found, Topic)}
    registered = {name for name in declared if getattr(topics, name) in TOPICS}
    assert declared - registered == set(), "add it to TOPICS in contracts.topics"


@pytest.mark.parametrize("service", BUILT)
def test_a_service_consumes_what_the_contracts_say(service: str) -> None:
    declared = {topic.name for topic in TOPICS if service in topic.consumers}
    assert _subscribed(service) == declared, f"compare contracts.topics and {service}/consumers.py"


@pytest.mark.parametrize("service", BUILT)
def test_a_service_publishes_what_the_contracts_say(service: str) -> None:
    declared = {
        topic.name
        for topic in TOPICS
        if service in topic.producers and topic.name not in BY_THE_CHASSIS
    }
    assert _published(service) == declared, f"compare contracts.topics and {service}'s handlers"


@pytest.mark.parametrize("service", BUILT)
def test_the_readme_of_a_service_names_its_topics(service: str) -> None:
    readme = (PROJECT / "services" / service / "README.md").read_text("utf-8")
    topics_of_it = _subscribed(service) | _published(service)
    assert {name for name in topics_of_it if f"`{name}`" not in readme} == set()


def _within(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and the models that its fields are made of."""
    yield model
    for info in model.model_fields.values():
        for kind in (info.annotation, *get_args(info.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _within(kind)


def _subscribed(service: str) -> set[str]:
    path = PROJECT / f"services/{service}/src/{service}/consumers.py"
    return set(_topics_given_to("subscribe", path.read_text("utf-8")))


def _published(service: str) -> set[str]:
    return {
        name
        for path in (PROJECT / f"services/{service}/src/{service}").rglob("*.py")
        for method in ("publish", "publish_all", "publish_rendered")
        for name in _topics_given_to(method, path.read_text("utf-8"))
    }


def _topics_given_to(method: str, source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == method
            and node.args
            and isinstance(node.args[0], ast.Name)
        ):
            found: Any = getattr(topics, node.args[0].id, None)
            if isinstance(found, Topic):
                yield found.name
