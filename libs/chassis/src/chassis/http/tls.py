"""Whom the client trusts: the usual authorities, and one of the house's own.

The house's certificate may lie on the NAS (S1-10, C-08). It is fetched over SMB, so that reading it
needs neither the proxy nor TLS, and its copy is gone as soon as it is loaded.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from prometheus_client import Gauge

from chassis.clock import Clock
from chassis.errors import PermanentError
from chassis.http.config import HttpConfig
from chassis.logs import get_logger
from chassis.shares.port import Share
from contracts.errors import ErrorCategory

WARN_BEFORE = timedelta(days=30)

CA_ENDS = Gauge(
    "penstock_ca_not_after_timestamp_seconds",
    "When the first of the configured authorities ends.",
    ("file",),
)


class CertificateError(PermanentError):
    """The certificate of the house's authority cannot be used."""

    default_category = ErrorCategory.SSL_SETUP


async def trust(config: HttpConfig, *, share: Share | None, clock: Clock) -> ssl.SSLContext:
    """Return what certificates are checked against.

    Raises:
        CertificateError: the configured authority cannot be read, or has ended.
        TransientError: the share does not answer.
    """
    context = httpx.create_ssl_context(trust_env=False)
    if config.ca_file is not None:
        load_authority(context, Path(config.ca_file), name=Path(config.ca_file).name, clock=clock)
    elif config.ca_share is not None:
        if share is None:
            raise CertificateError("`ca_share` needs a share: set `NAS_*`")
        fetched = fetched_certificate(share, config.ca_share.path, config.ca_share.max_bytes)
        async with fetched as file:
            load_authority(context, file, name=Path(config.ca_share.path).name, clock=clock)
    return context


@contextlib.asynccontextmanager
async def fetched_certificate(share: Share, path: str, max_bytes: int) -> AsyncGenerator[Path]:
    """Lend a copy of a file on a share; it is removed whatever happens."""
    content = await share.read_file(path, max_bytes=max_bytes)
    with _temporary(content.data) as file:
        yield file


@contextlib.contextmanager
def _temporary(data: bytes) -> Generator[Path]:
    handle, name = tempfile.mkstemp(prefix="penstock-ca-", suffix=".pem")
    file = Path(name)
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(data)
        yield file
    finally:
        file.unlink(missing_ok=True)


def load_authority(context: ssl.SSLContext, file: Path, *, name: str, clock: Clock) -> datetime:
    """Trust the authorities in a PEM file; return when the first of them ends.

    Raises:
        CertificateError: it holds none, or one has ended.
    """
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for each in (own, context):
            each.load_verify_locations(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"`{name}` is no readable PEM certificate") from error
    ends = [
        ssl.cert_time_to_seconds(str(item["notAfter"]))
        for item in own.get_ca_certs()
        if "notAfter" in item
    ]
    if not ends:
        raise CertificateError(f"`{name}` holds no certificate of an authority")
    CA_ENDS.labels(name).set(min(ends))
    end = datetime.fromtimestamp(min(ends), UTC)
    if end <= clock.now():
        raise CertificateError(f"`{name}` ended on {end:%Y-%m-%d}")
    if end - clock.now() < WARN_BEFORE:
        get_logger().warning("certificate_ends_soon", file=name, ends_at=end.isoformat())
    return end
