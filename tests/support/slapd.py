"""A directory server of a test's own: OpenLDAP, with two trees, TLS, and limits of a test's choice.

One tree has the shape of the university's directory, the other of Active Directory: `msuser.schema`
brings the attributes and classes of the latter; only that its `objectGUID` cannot be searched for
here, for which `adKey` stands in.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from penstock.stack.ports import free_port
from tests.support.daemons import Daemon, find_program
from tests.support.tls_site import write_authority

UMICH = "dc=umich,dc=example"
AD = "dc=adsroot,dc=example"
PASSWORD = "Passw0rd!"
READER = f"cn=reader,{UMICH}"

_SCHEMAS = ("core", "cosine", "nis", "inetorgperson", "msuser")
_ADVICE = "The tests need a directory server: install the Debian packages slapd and ldap-utils."

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
        self._slapd = find_program("slapd", _ADVICE)
        self._home = Path(tempfile.mkdtemp(prefix="penstock-slapd-"))
        self.ca_file = self._home / "ca.pem"
        write_authority(self._home)
        self._configuration = self._home / "slapd.conf"
        self.port, self.tls_port = free_port(), free_port()
        for tree in ("umich", "ad"):
            (self._home / tree).mkdir()
        (self._home / "own.schema").write_text(_OWN_SCHEMA)
        self._configuration.write_text(self._lines(options))
        self._daemon = Daemon(
            *(self._slapd, "-d", "0", "-f", self._configuration),
            *("-h", f"{self.url} {self.tls_url}"),
            ports=(self.port, self.tls_port),
            log=self._home / "slapd.log",
        )
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
            (
                find_program("ldapmodify", _ADVICE),
                "-x",
                "-H",
                self.url,
                "-D",
                f"cn=admin,{suffix}",
                "-w",
                PASSWORD,
            ),
            input=ldif.encode(),
            capture_output=True,
            check=True,
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._daemon.start()

    def kill(self) -> None:
        """End the server and every connection of it, at once."""
        self._daemon.kill()

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
            f"TLSCertificateKeyFile {self._home}/server.pem",
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
