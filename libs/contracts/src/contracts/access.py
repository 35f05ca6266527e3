"""Who may do what on Kafka: access rules, derived from the registry of topics.

The one source for the broker's access control lists: the deployment renders them as resources, the
tests lay them on a real broker. Whatever stands in no rule is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from contracts.topics import RUN_CHANGED, TOPICS, Topic, topic_specs

COMMAND_LINE = "penstock"
"""People and CronJobs with the `penstock` command: they send commands and see refused ones."""

TOPIC_ADMINISTRATOR = "topic-administrator"
"""For `penstock topics apply`, where no operator keeps the topics."""

LAG_OBSERVER = "lag-observer"
"""For an autoscaler or exporter that reads how far the consumer groups are."""

LINEAGE_EXPORTER = "lineage-exporter"
"""For `penstock lineage`, which tells a lineage server of runs."""


class ResourceKind(StrEnum):
    """What a rule is about."""

    TOPIC = "topic"
    GROUP = "group"


class Operation(StrEnum):
    """What Kafka lets somebody do, as its access control lists name it."""

    READ = "Read"
    WRITE = "Write"
    DESCRIBE = "Describe"
    CREATE = "Create"
    ALTER_CONFIGS = "AlterConfigs"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, slots=True)
class Rule:
    """Operations allowed on one resource, by its literal name."""

    kind: ResourceKind
    name: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that one user may do.

    Idempotent producing needs no rule of its own: the right to write to any topic includes it.
    """

    user: str
    """The SCRAM user name; of a client certificate the common name (`CN=<user>`)."""

    rules: tuple[Rule, ...]

    def topics(self, operation: Operation) -> frozenset[str]:
        """Return the topics on which the user may do this."""
        return frozenset(
            rule.name
            for rule in self.rules
            if rule.kind is ResourceKind.TOPIC and operation in rule.operations
        )


def user_of(service: str) -> str:
    """Return a service's user name, which is also a Kubernetes name and therefore without `_`."""
    return service.replace("_", "-")


def access_rules() -> dict[str, Access]:
    """Return every user's access, by service; the last four are no services."""
    services = {name for topic in TOPICS for name in (*topic.producers, *topic.consumers)}
    found = {name: access_of(name) for name in sorted(services - {COMMAND_LINE})}
    return found | {
        COMMAND_LINE: _command_line(),
        TOPIC_ADMINISTRATOR: _administrator(),
        LAG_OBSERVER: _observer(),
        LINEAGE_EXPORTER: _exporter(),
    }


def access_of(service: str) -> Access:
    """Return what a service may do: its topics, its dead letters, its consumer group."""
    consumed = [topic for topic in TOPICS if service in topic.consumers]
    # A consumed topic is written to as well: whoever rejected a message sends it there again.
    writable = {topic.name for topic in TOPICS if service in topic.producers}
    writable |= {topic.name for topic in consumed}
    writable |= {topic.dead_letters_of(service) for topic in consumed}
    rules = _topic_rules({topic.name for topic in consumed}, writable)
    if consumed:
        rules += (Rule(ResourceKind.GROUP, service, (Operation.READ, Operation.DESCRIBE)),)
    return Access(user_of(service), rules)


def _command_line() -> Access:
    commands = [topic for topic in TOPICS if topic.is_command]
    refused = {letters for topic in commands for letters in _dead_letters(topic)}
    return Access(COMMAND_LINE, _topic_rules(refused, {topic.name for topic in commands}))


def _administrator() -> Access:
    operations = (
        Operation.CREATE,
        Operation.DESCRIBE,
        Operation.ALTER_CONFIGS,
        Operation.DESCRIBE_CONFIGS,
    )
    names = sorted(spec.name for spec in topic_specs())
    rules = tuple(Rule(ResourceKind.TOPIC, name, operations) for name in names)
    return Access(TOPIC_ADMINISTRATOR, rules)


def _observer() -> Access:
    consumed = sorted(topic.name for topic in TOPICS if topic.consumers)
    groups = sorted({name for topic in TOPICS for name in topic.consumers})
    look = (Operation.DESCRIBE,)
    rules = tuple(Rule(ResourceKind.TOPIC, name, look) for name in consumed)
    rules += tuple(Rule(ResourceKind.GROUP, name, look) for name in groups)
    return Access(LAG_OBSERVER, rules)


def _exporter() -> Access:
    group = Rule(ResourceKind.GROUP, LINEAGE_EXPORTER, (Operation.READ, Operation.DESCRIBE))
    return Access(LINEAGE_EXPORTER, (*_topic_rules({RUN_CHANGED.name}, set()), group))


def _dead_letters(topic: Topic) -> Iterable[str]:
    return (topic.dead_letters_of(consumer) for consumer in topic.consumers)


def _topic_rules(readable: set[str], writable: set[str]) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            ResourceKind.TOPIC,
            name,
            (
                *((Operation.READ,) if name in readable else ()),
                *((Operation.WRITE,) if name in writable else ()),
                Operation.DESCRIBE,
            ),
        )
        for name in sorted(readable | writable)
    )
