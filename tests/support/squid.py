"""A corporate proxy of a test's own: Squid, whose users are checked by Samba's `ntlm_auth`.

So they are in many houses; only that there `ntlm_auth` asks a domain, and here it is given the one
password that counts. Neither knows the library that answers its challenges.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from tests.support.errors import MissingServerError

PASSWORD = "pa@ss:w/ör#d"  # everything that would need escaping in an address

FORBIDDEN_PORT = 9
"""No tunnel is allowed to it."""

_PATH = os.pathsep.join([*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"])
_UNPRIVILEGED = "proxy"
_START_SECONDS = 20.0

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
        self.port, self.tls_port = _free_port(), _free_port()
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
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the proxy and wait until it answers."""
        with (self._home / "squid.log").open("ab") as log:
            self._process = subprocess.Popen(
                (_find("squid"), "-N", "-n", self._name, "-f", self._home / "squid.conf"),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not (_is_listening(self.port) and _is_listening(self.tls_port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self._home / "cache.log").read_text()[-800:]
                raise MissingServerError(f"Squid did not start: {text}")
            time.sleep(0.02)

    def remove(self) -> None:
        """End the proxy and delete what it wrote."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
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
                _NTLM.format(program=_find("ntlm_auth"), protocol=_HELPERS[scheme], home=self._home)
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
            f"cache_log {home}/cache.log",
            "logformat own %rm %ru %>Hs %#un %#{Proxy-Authorization}>h",
            f"access_log stdio:{home}/access.log own",
            "buffered_logs off",
            "visible_hostname proxy.maple.example",
        )
        if os.geteuid() == 0:
            yield f"cache_effective_user {_UNPRIVILEGED}"


def _find(program: str) -> str:
    found = shutil.which(program, path=_PATH)
    if found is None:
        raise MissingServerError(
            f"The tests need a proxy with NTLM ({program}): "
            "install the Debian packages squid and winbind."
        )
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
