"""How clients log on to Kafka, and why they could not.

The client library reports a refused certificate or password as "unable to bootstrap"; an operator
needs the reason. It is looked for with a connection of our own, only after one has failed.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
from prometheus_client import Gauge

from chassis import certificates
from chassis.clock import SystemClock
from chassis.errors import UnavailableError
from chassis.settings import KafkaSettings

_PROBE_SECONDS = 5.0
_ALERT_SECONDS = 1.0
"""With TLS 1.3 a server refuses a client's certificate only after the handshake."""

CERTIFICATE_ENDS = Gauge(
    "penstock_kafka_certificate_not_after_timestamp_seconds",
    "When the client certificate that is shown to Kafka ends; no series without one.",
    ("file",),
)

_UNAUTHORIZED = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)


def build_ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return the TLS context that the settings ask for, or None for plain connections."""
    if settings.security_protocol == "PLAINTEXT":
        return None
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.certificate_file is not None:
        context.load_cert_chain(settings.certificate_file, settings.key_file, password="")
        if (ends := certificate_ends(settings)) is not None:
            CERTIFICATE_ENDS.labels(settings.certificate_file.name).set(ends.timestamp())
    return context


def certificate_ends(settings: KafkaSettings) -> datetime | None:
    """Return when the client certificate ends; None without one that can be read."""
    try:
        file = settings.certificate_file
        return None if file is None else certificates.expires_at(file)
    except (OSError, ValueError):
        return None


def client_security(settings: KafkaSettings) -> dict[str, Any]:
    """Return aiokafka's form of the security settings."""
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    context = build_ssl_context(settings)
    if context is not None:
        options["ssl_context"] = context
    if settings.sasl_username and settings.sasl_password:
        options |= {
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return options


async def log_on(settings: KafkaSettings) -> None:
    """See that a broker lets us in, before a client is built that would leak when it does not.

    Raises:
        UnavailableError: none does; says why.
    """
    failure: Exception | None = None
    for host, port, _ in collect_hosts(settings.bootstrap_servers):
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                connection = await create_conn(host, port, **client_security(settings))
        except (KafkaError, OSError, TimeoutError) as error:
            failure = error
        else:
            connection.close()
            return
    reason = await explain(settings, failure or UnavailableError("no broker is named"))
    raise UnavailableError(f"Kafka does not answer: {reason}", dependency="kafka") from failure


@contextlib.asynccontextmanager
async def explained(
    settings: KafkaSettings, what: str = "Kafka does not answer"
) -> AsyncGenerator[None]:
    """Turn a failure of the client library into an error that says why, in one sentence.

    Raises:
        UnavailableError: Kafka does not answer, or refuses this user; no event is to blame.
    """
    try:
        yield
    except (KafkaError, TimeoutError) as error:
        reason = await explain(settings, error)
        raise UnavailableError(f"{what}: {reason}", dependency="kafka") from error


async def explain(settings: KafkaSettings, error: Exception) -> str:
    """Return why Kafka could not be used."""
    if isinstance(error, _UNAUTHORIZED):
        names = ", ".join(f"`{name}`" for name in _named(error))
        return (
            f"{_who(settings)} has no right to {names or 'do this'} ({type(error).__name__}); "
            "see `contracts.access`"
        )
    for host, port, _ in collect_hosts(settings.bootstrap_servers, randomize=False):
        if refusal := await _refusal(settings, host, port):
            return refusal
    if isinstance(error, KafkaConnectionError):
        return f"no broker is reached at {settings.bootstrap_servers}"
    return str(error) or type(error).__name__


def _named(error: Exception) -> list[str]:
    """Return the topics or groups that the broker's refusal names."""
    found = error.args[0] if error.args else ()
    return sorted(map(str, found)) if isinstance(found, set | list | tuple) else [str(found)]


async def _refusal(settings: KafkaSettings, host: str, port: int) -> str | None:
    """Return why this broker does not let us in, or None where it does or is not there."""
    place = f"{host}:{port}"
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await _shake_hands(settings, host, port)
            connection = await create_conn(host, port, **client_security(settings))
            connection.close()
    except ssl.SSLCertVerificationError as error:
        return (
            f"the certificate of {place} is not accepted: {error.verify_message}; "
            "look at `KAFKA_CA_FILE`"
        )
    except ssl.SSLError as error:
        return _own_certificate_problem(settings) or f"no TLS with {place}: {error.reason}"
    except SaslAuthenticationFailed:
        return (
            f"{place} refuses {_who(settings)}: the password is wrong, or there is no such user; "
            "look at `KAFKA_SASL_USERNAME` and `KAFKA_SASL_PASSWORD`"
        )
    except (KafkaError, OSError, TimeoutError):
        # A broker that refuses a certificate may just hang up.
        return _own_certificate_problem(settings)
    return None


async def _shake_hands(settings: KafkaSettings, host: str, port: int) -> None:
    """Do a TLS handshake and listen for a refusal after it; the client library would hide both."""
    context = build_ssl_context(settings)
    if context is None:
        return
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        if settings.certificate_file is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ALERT_SECONDS):
                    await reader.read(1)
    finally:
        writer.transport.abort()


def _own_certificate_problem(settings: KafkaSettings) -> str | None:
    if settings.certificate_file is None:
        return None
    ends = certificate_ends(settings)
    if ends is not None and ends < SystemClock().now():
        return f"the certificate in `KAFKA_CERTIFICATE_FILE` ended on {ends:%Y-%m-%d}; renew it"
    return "the broker refuses the certificate in `KAFKA_CERTIFICATE_FILE`, or hangs up"


def _who(settings: KafkaSettings) -> str:
    if settings.sasl_username:
        return f"the user `{settings.sasl_username}`"
    if settings.certificate_file:
        return "the owner of the client certificate"
    return "an anonymous user"
