"""A Samba of a test's own: with the policies of difficult servers, and free to be killed.

The shared `smb` fixture serves everybody and must stay as it is; this one may be configured,
stopped in the middle of a call, and started again on the same port.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pydantic import SecretStr

from chassis.settings import NasSettings
from penstock.stack.ports import free_port
from tests.support.daemons import Daemon, find_program

USER = "penstock"
PASSWORD = "Passw0rd!"
SHARE = "data"

_UNPRIVILEGED = "daemon"
"""Where smbd runs as root, the share's user must not be root, or nothing would ever be denied."""

_REFUSED = re.compile(r"Auth: .*status \[NT_STATUS_(?!OK\b)")
_ADVICE = "The tests need an SMB server: install the Debian package samba."


class Samba:
    """One smbd with one share; `options` are lines of the global section."""

    def __init__(self, *options: str, share_options: tuple[str, ...] = ()) -> None:
        smbd, pdbedit = (find_program(name, _ADVICE) for name in ("smbd", "pdbedit"))
        # smbd walks down to the share as its user, so every folder above must let it pass.
        self._home = Path(tempfile.mkdtemp(prefix="penstock-samba-"))
        self._home.chmod(0o755)
        self.folder = self._home / "share"
        self.folder.mkdir()
        self._account = _account()
        self.own(self.folder)
        self.port = free_port()
        self._log = self._home / "smbd.log"
        self._configuration = self._home / "smb.conf"
        for name in ("private", "state", "cache", "lock", "run", "ncalrpc"):
            (self._home / name).mkdir(mode=0o700 if name == "private" else 0o755)
        (self._home / "users.map").write_text(f"{self._account} = {USER}\n")
        self.configure(*options, share_options=share_options)
        self._daemon = Daemon(
            *(smbd, "--foreground", "--no-process-group", "--debug-stdout"),
            *("-s", self._configuration),
            ports=(self.port,),
            log=self._log,
        )
        _set_password(pdbedit, self._configuration, self._account)

    def own(self, *paths: Path) -> None:
        """Give files that the test made to the share's user."""
        if os.geteuid() == 0:
            entry = pwd.getpwnam(self._account)
            for path in paths:
                os.chown(path, entry.pw_uid, entry.pw_gid)

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

    def log(self) -> str:
        """Return what the server has logged, every attempt to log on among it."""
        return self._log.read_text()

    def refused_logons(self) -> int:
        """Return how many log-ons the server has refused so far."""
        return sum(1 for line in self.log().splitlines() if _REFUSED.search(line))

    def settings(self, *, port: int | None = None, password: str = PASSWORD) -> NasSettings:
        """Return what a client needs, with another port (a proxy's) or password on demand."""
        return NasSettings.model_validate(
            {
                "NAS_USERNAME": USER,
                "NAS_PASSWORD": SecretStr(password),
                "NAS_SERVER_IP": "127.0.0.1",
                "NAS_SERVER_NAME": "TESTNAS",
                "NAS_SHARE_NAME": SHARE,
                "NAS_PORT": port or self.port,
                "CLIENT_MACHINE_NAME": "TESTCLIENT",
            }
        )

    def configure(self, *options: str, share_options: tuple[str, ...] = ()) -> None:
        """Replace the options; they hold from the next start on."""
        lines = [
            "[global]",
            "server role = standalone server",
            "workgroup = TESTGROUP",
            "netbios name = TESTNAS",
            "disable netbios = yes",
            f"smb ports = {self.port}",
            "bind interfaces only = yes",
            "interfaces = 127.0.0.1",
            f"passdb backend = tdbsam:{self._home}/private/passdb.tdb",
            f"private dir = {self._home}/private",
            f"state directory = {self._home}/state",
            f"cache directory = {self._home}/cache",
            f"lock directory = {self._home}/lock",
            f"pid directory = {self._home}/run",
            f"ncalrpc dir = {self._home}/ncalrpc",
            f"username map = {self._home}/users.map",
            "log level = 0 auth_audit:3",
            "server min protocol = SMB2_02",
            "ntlm auth = ntlmv2-only",
            "map to guest = never",
            "restrict anonymous = 2",
            "load printers = no",
            "printcap name = /dev/null",
            "disable spoolss = yes",
            *options,
            f"[{SHARE}]",
            f"path = {self.folder}",
            f"valid users = {self._account}",
            "read only = no",
            *share_options,
        ]
        self._configuration.write_text("\n".join(lines) + "\n")


def _account() -> str:
    return _UNPRIVILEGED if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def _set_password(pdbedit: str, configuration: Path, account: str) -> None:
    subprocess.run(
        (pdbedit, "-s", configuration, "-a", "-t", "-u", account),
        input=f"{PASSWORD}\n{PASSWORD}\n".encode(),
        capture_output=True,
        check=True,
    )
