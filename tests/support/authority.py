"""A certificate authority of a test's own."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LOOPBACK = x509.IPAddress(IPv4Address("127.0.0.1"))

_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path


@dataclass(slots=True)
class Authority:
    """Signs certificates for servers of this machine; its own lies in `file`."""

    folder: Path
    name: str = "ca"
    days: float = 90
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        begin, end = _around_now(days=self.days)
        own = x509.CertificateBuilder(
            _named(self.name), _named(self.name), self._key.public_key(), 1, begin, end
        ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(_PEM))

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.crt"

    def issue(
        self,
        common_name: str,
        *,
        days: float = 30,
        file_name: str | None = None,
        host: x509.GeneralName = _LOOPBACK,
    ) -> Pair:
        """Sign a certificate that both servers and clients can use; it may have ended."""
        begin, end = _around_now(days=days)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder(
                _named(self.name),
                _named(common_name),
                key.public_key(),
                x509.random_serial_number(),
                begin,
                end,
            )
            .add_extension(x509.SubjectAlternativeName([host]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = self.folder / (file_name or common_name)
        pair = Pair(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        pair.certificate.write_bytes(certificate.public_bytes(_PEM))
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(
            key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return pair


def _around_now(*, days: float) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)  # noqa: TID251 - certificates are about now
    return now - timedelta(days=60), now + timedelta(days=days)


def _named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
