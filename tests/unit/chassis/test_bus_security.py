"""What the clients are told, and what is said where no broker is."""

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from chassis.bus.broker import build_security
from chassis.bus.security import client_security, explain
from chassis.settings import KafkaSettings

PLAIN = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
SCRAM = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_USERNAME": "scanner",
    "KAFKA_SASL_PASSWORD": "hunter2-canary",
}


def test_a_plain_connection_has_no_security() -> None:
    settings = KafkaSettings.model_validate(PLAIN)

    assert build_security(settings) is None
    assert client_security(settings) == {"security_protocol": "PLAINTEXT"}


def test_a_password_is_only_ever_used_with_scram() -> None:
    options = client_security(KafkaSettings.model_validate(PLAIN | SCRAM))

    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["ssl_context"].check_hostname


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "PLAIN", "plaintext"])
def test_protocols_that_show_the_password_do_not_exist(protocol: str) -> None:
    with pytest.raises(ValueError, match="KAFKA_SECURITY_PROTOCOL"):
        KafkaSettings.model_validate(PLAIN | SCRAM | {"KAFKA_SECURITY_PROTOCOL": protocol})


async def test_a_missing_right_names_the_user_and_the_topic() -> None:
    settings = KafkaSettings.model_validate(PLAIN | SCRAM)

    assert await explain(settings, TopicAuthorizationFailedError({"file.changed"})) == (
        "the user `scanner` has no right to `file.changed` (TopicAuthorizationFailedError); "
        "see `contracts.access`"
    )
