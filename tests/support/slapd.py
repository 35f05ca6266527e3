"""A directory server of a test's own: OpenLDAP, with two trees, TLS, and limits of a test's choice.

One tree has the shape of the university's directory, the other of Active Directory: `msuser.schema`
brings the attributes and classes of the latter; only that its `objectGUID` cannot be searched for
here, for which `adKey` stands in.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.errors import MissingServerError

UMICH = "dc=umich,dc=example"
AD = "dc=adsroot,dc=example"
PASSWORD = "Passw0rd!"
READER = f"cn=reader,{UMICH}"

_SCHEMAS = ("core", "cosine", "nis", "inetorgperson", "msuser")
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec")
_START_SECONDS = 10.0

_OWN_SCHEMA = """
attributetype ( 1.3.6.1.4.1.55555.1.1 NAME 'umichPostalAddress'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.55555.1.2 NAME 'umichTitle'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.55555.1.3 NAME 'adKey'
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'umichPerson' SUP top AUXILIARY
  MAY ( umichPostalAddress $ umichTitle $ uidNumber ) )
objectclass ( 1.3.6.1.4.1.55555.2.2 NAME 'adPrincipal' SUP top AUXILIARY
  MAY ( sAMAccountName $ objectSid $ adKey ) )
"""


class Slapd:
    """One slapd; `options` are lines of the global section, such as `sizelimit size=10`."""

    def __init__(self, *options: str) -> None:
        self._slapd = _find("slapd")
        self._home = Path(tempfile.mkdtemp(prefix="penstock-slapd-"))
        self.ca_file = self._home / "ca.pem"
        _write_certificates(self._home)
        self._configuration = self._home / "slapd.conf"
        self.port, self.tls_port = _free_port(), _free_port()
        for tree in ("umich", "ad"):
            (self._home / tree).mkdir()
        (self._home / "own.schema").write_text(_OWN_SCHEMA)
        self._configuration.write_text(self._lines(options))
        self._process: subprocess.Popen[bytes] | None = None
        self.load(f"dn: {UMICH}\nobjectClass: domain\ndc: umich\n", suffix=UMICH)
        self.load(f"dn: {AD}\nobjectClass: domain\ndc: adsroot\n", suffix=AD)

    @property
    def url(self) -> str:
        return f"ldap://localhost:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://localhost:{self.tls_port}"

    def load(self, ldif: str, *, suffix: str = UMICH) -> None:
        """Add entries while the server is down; those that are there already stay."""
        done = subprocess.run(
            (self._slapd, "-T", "add", "-c", "-b", suffix, "-f", self._configuration),
            input=ldif.removeprefix("version: 1\n").encode(),
            capture_output=True,
            check=False,
        )
        problems = [
            line
            for line in done.stderr.decode().splitlines()
            if "slapadd:" in line and "KEYEXIST" not in line and "already exists" not in line
        ]
        assert not problems, problems[:5]

    def modify(self, ldif: str, *, suffix: str = UMICH) -> None:
        """Change entries of the running server."""
        subprocess.run(
            (_find("ldapmodify"), "-x", "-H", self.url, "-D", f"cn=admin,{suffix}", "-w", PASSWORD),
            input=ldif.encode(),
            capture_output=True,
            check=True,
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self._home / "slapd.log").open("ab") as log:
            self._process = subprocess.Popen(
                (
                    self._slapd,
                    "-d",
                    "0",
                    "-f",
                    self._configuration,
                    "-h",
                    f"{self.url} {self.tls_url}",
                ),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not (_is_listening(self.port) and _is_listening(self.tls_port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self._home / "slapd.log").read_text()[-500:]
                raise MissingServerError(f"slapd did not start: {text}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End the server and every connection of it, at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End the server and delete what it wrote."""
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _lines(self, options: tuple[str, ...]) -> str:
        lines = [
            *(f"include /etc/ldap/schema/{name}.schema" for name in _SCHEMAS),
            f"include {self._home}/own.schema",
            "modulepath /usr/lib/ldap",
            "moduleload back_mdb",
            f"pidfile {self._home}/slapd.pid",
            f"TLSCACertificateFile {self.ca_file}",
            f"TLSCertificateFile {self._home}/server.pem",
            f"TLSCertificateKeyFile {self._home}/server.key",
            *options,
        ]
        for suffix, folder in ((UMICH, "umich"), (AD, "ad")):
            lines += [
                "database mdb",
                "maxsize 67108864",
                f'suffix "{suffix}"',
                f'rootdn "cn=admin,{suffix}"',
                f"rootpw {PASSWORD}",
                f"directory {self._home}/{folder}",
                "dbnosync",
                "access to attrs=userPassword by anonymous auth by * none",
                "access to * by users read by anonymous auth",
            ]
        return "\n".join(lines) + "\n"


def _find(program: str) -> str:
    found = shutil.which(program, path=os.pathsep.join([os.get_exec_path()[0], *_PATH, *_PLACES]))
    if found is None:
        raise MissingServerError(
            f"The tests need a directory server ({program}): "
            "install the Debian packages slapd and ldap-utils."
        )
    return found


_PATH = tuple(os.get_exec_path())


def _write_certificates(home: Path) -> None:
    """Make an authority and a certificate for `localhost`, for one day."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _name("Penstock test authority")
    begin = datetime.now(UTC) - timedelta(minutes=5)  # noqa: TID251 - certificates are about now
    end = begin + timedelta(days=1)
    root = (
        x509.CertificateBuilder(authority, authority, authority_key.public_key(), 1, begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        x509.CertificateBuilder(authority, _name("localhost"), key.public_key(), 2, begin, end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (home / "ca.pem").write_bytes(root.public_bytes(pem))
    (home / "server.pem").write_bytes(leaf.public_bytes(pem))
    (home / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
