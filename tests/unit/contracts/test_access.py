"""Access rules follow from the registry: a user's own topics, and nothing else."""

from contracts.access import (
    COMMAND_LINE,
    LAG_OBSERVER,
    TOPIC_ADMINISTRATOR,
    Operation,
    ResourceKind,
    Rule,
    access_of,
    access_rules,
)
from contracts.topics import TOPICS, topic_specs

TOPIC = ResourceKind.TOPIC
READ, WRITE, DESCRIBE = Operation.READ, Operation.WRITE, Operation.DESCRIBE


def test_the_ingestor_reads_changes_and_writes_bronze_events_and_its_dead_letters() -> None:
    rules = access_of("ingestor").rules

    assert Rule(TOPIC, "file.changed", (READ, WRITE, DESCRIBE)) in rules
    assert Rule(TOPIC, "bronze.stored", (WRITE, DESCRIBE)) in rules
    assert Rule(TOPIC, "file.changed.ingestor.dead", (WRITE, DESCRIBE)) in rules
    assert Rule(ResourceKind.GROUP, "ingestor", (READ, DESCRIBE)) in rules
    assert "silver.changed" not in {rule.name for rule in rules}
    assert "scan.requested" not in {rule.name for rule in rules}


def test_a_user_is_a_kubernetes_name_and_the_group_keeps_the_services_name() -> None:
    access = access_of("wrds_sync")

    assert access.user == "wrds-sync"
    assert [rule.name for rule in access.rules if rule.kind is ResourceKind.GROUP] == ["wrds_sync"]


def test_the_console_sends_commands_and_reads_no_data() -> None:
    access = access_of("console")
    commands = {topic.name for topic in TOPICS if topic.is_command}

    assert commands <= access.topics(WRITE)
    assert "file.changed" not in access.topics(WRITE)
    assert not access.topics(READ) & {"file.changed", "record.changed", "bronze.stored"}


def test_the_command_line_sees_the_commands_that_were_refused_but_joins_no_group() -> None:
    access = access_rules()[COMMAND_LINE]

    assert "scan.requested.scanner.dead" in access.topics(READ)
    assert "file.changed.ingestor.dead" not in access.topics(READ)
    assert all(rule.kind is TOPIC for rule in access.rules)


def test_only_the_topic_administrator_creates_and_it_neither_reads_nor_writes() -> None:
    administering = {Operation.CREATE, Operation.ALTER_CONFIGS}
    able = {
        name
        for name, access in access_rules().items()
        if any(administering & set(rule.operations) for rule in access.rules)
    }
    administrator = access_rules()[TOPIC_ADMINISTRATOR]

    assert able == {TOPIC_ADMINISTRATOR}
    assert administrator.topics(Operation.CREATE) == {spec.name for spec in topic_specs()}
    assert not administrator.topics(READ) | administrator.topics(WRITE)


def test_the_lag_observer_only_looks() -> None:
    rules = access_rules()[LAG_OBSERVER].rules

    assert {operation for rule in rules for operation in rule.operations} == {DESCRIBE}
    assert Rule(ResourceKind.GROUP, "ingestor", (DESCRIBE,)) in rules


def test_no_rule_is_a_pattern() -> None:
    names = {rule.name for access in access_rules().values() for rule in access.rules}

    assert not [name for name in names if "*" in name]


def test_every_topic_has_somebody_who_may_write_it() -> None:
    written = set[str]().union(
        *(access.topics(Operation.WRITE) for access in access_rules().values())
    )

    assert {spec.name for spec in topic_specs()} <= written
