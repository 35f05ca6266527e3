"""What the clients are told, and what is said where no broker is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from chassis.bus.broker import build_security
from chassis.bus.security import CERTIFICATE_ENDS, client_security, explain
from chassis.settings import KafkaSettings
from tests.support.authority import Authority

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


def test_the_end_of_the_client_certificate_is_measured(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("measured", days=7)
    client_security(
        KafkaSettings.model_validate(
            PLAIN
            | {
                "KAFKA_SECURITY_PROTOCOL": "SSL",
                "KAFKA_CA_FILE": authority.file,
                "KAFKA_CERTIFICATE_FILE": pair.certificate,
                "KAFKA_KEY_FILE": pair.key,
            }
        )
    )

    samples = next(iter(CERTIFICATE_ENDS.collect())).samples
    ends = {sample.labels["file"]: sample.value for sample in samples}
    expected = (datetime.now(UTC) + timedelta(days=7)).timestamp()  # noqa: TID251 - its own clock
    # Other tests have clients, too.
    assert ends["measured.crt"] == pytest.approx(expected, abs=60)
