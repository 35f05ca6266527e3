"""A corporate proxy of a test's own: Squid, whose users are checked by Samba's `ntlm_auth`.

So they are in many houses; only that there `ntlm_auth` asks a domain, and here it is given the one
password that counts. Neither knows the library that answers its challenges.
"""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from penstock.stack.ports import free_port
from tests.support.daemons import Daemon, find_program

PASSWORD = "pa@ss:w/ör#d"  # everything that would need escaping in an address

FORBIDDEN_PORT = 9
"""No tunnel is allowed to it."""

_ADVICE = "The tests need a proxy with NTLM: install the Debian packages squid and winbind."
_UNPRIVILEGED = "proxy"

_HELPERS = {"ntlm": "squid-2.5-ntlmssp", "negotiate": "gss-spnego"}
_BASIC = """#!/bin/sh
while read -r _; do echo ERR; done
"""
_NTLM = """#!/bin/sh
exec {program} --helper-protocol={protocol} "--password=$(cat {home}/password)" \
--configfile=/dev/null "--option=private dir={home}" "--option=lock directory={home}"
"""


class Squid:
    """One Squid that lets nobody through but who logs on by one of these schemes.

    `basic` is offered but refuses everybody: who takes it has shown the password for nothing. Its
    second port speaks TLS, with a certificate and its key.
    """

    def __init__(self, *schemes: str, certificate: Path) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="penstock-squid-"))
        self._home.chmod(0o755)
        self.port, self.tls_port = free_port(), free_port()
        self._name = f"penstock{self.port}"  # several of one name share their memory
        shutil.copy(certificate, self._home / "server.pem")
        (self._home / "password").write_text(PASSWORD)
        for scheme in schemes:
            self._write_helper(scheme)
        (self._home / "squid.conf").write_text("\n".join(self._lines(schemes)) + "\n")
        if os.geteuid() == 0:  # Squid gives up its rights, and its helpers with it
            entry = pwd.getpwnam(_UNPRIVILEGED)
            for path in (self._home, *self._home.iterdir()):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        self._daemon = Daemon(
            *(find_program("squid", _ADVICE), "-N", "-d", "1", "-n", self._name),
            *("-f", self._home / "squid.conf"),
            ports=(self.port, self.tls_port),
            log=self._home / "squid.log",
        )

    def start(self) -> None:
        """Start the proxy and wait until it answers."""
        self._daemon.start()

    def remove(self) -> None:
        """End the proxy and delete what it wrote."""
        self._daemon.kill()
        for segment in Path("/dev/shm").glob(f"{self._name}-*"):
            segment.unlink(missing_ok=True)
        shutil.rmtree(self._home, ignore_errors=True)

    def requests(self) -> list[list[str]]:
        """Return method, target, status, user and log-on of every request so far."""
        log = self._home / "access.log"
        if not log.exists():
            return []
        lines = log.read_text().splitlines()
        return [[unquote(field) for field in line.split(" ")] for line in lines]

    def _write_helper(self, scheme: str) -> None:
        script = self._home / scheme
        if scheme == "basic":
            script.write_text(_BASIC)
        else:
            script.write_text(
                _NTLM.format(
                    program=find_program("ntlm_auth", _ADVICE),
                    protocol=_HELPERS[scheme],
                    home=self._home,
                )
            )
        script.chmod(0o755)

    def _lines(self, schemes: Iterable[str]) -> Iterable[str]:
        home = self._home
        for scheme in schemes:
            yield f"auth_param {scheme} program {home}/{scheme}"
            yield f"auth_param {scheme} children 4 startup=1 idle=1"
        yield from (
            f"http_port 127.0.0.1:{self.port}",
            f"https_port 127.0.0.1:{self.tls_port} tls-cert={home}/server.pem",
            f"acl forbidden port {FORBIDDEN_PORT}",
            "acl known proxy_auth REQUIRED",
            "http_access deny !known",
            "http_access deny forbidden",
            "http_access allow known",
            "cache deny all",
            "memory_cache_shared off",
            "pinger_enable off",
            "pid_filename none",
            f"coredump_dir {home}",
            "cache_log /dev/null",
            "logformat own %rm %ru %>Hs %#un %#{Proxy-Authorization}>h",
            f"access_log stdio:{home}/access.log own",
            "buffered_logs off",
            "visible_hostname proxy.maple.example",
        )
        if os.geteuid() == 0:
            yield f"cache_effective_user {_UNPRIVILEGED}"
