"""A Samba share on a loopback port, or a plain folder where Samba is not installed."""

import asyncio
import os
import pwd
import shutil
from pathlib import Path

from penstock.stack.errors import PartDiedError
from penstock.stack.model import PartName
from penstock.stack.parts.part import Launch, PartContext, until_connected
from penstock.stack.ports import LOOPBACK
from penstock.stack.processes import Program

SHARE = "data"
USER = "penstock"
SERVER_NAME = "PENSTOCK"
CLIENT_NAME = "penstock"

_PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/bin")
"""Debian installs smbd where users who are not root do not look."""

_CONFIGURATION = """\
[global]
  server role = standalone server
  workgroup = PENSTOCK
  netbios name = {server_name}
  disable netbios = yes
  smb ports = {port}
  bind interfaces only = yes
  interfaces = {host}
  passdb backend = tdbsam:{folder}/private/passdb.tdb
  private dir = {folder}/private
  state directory = {folder}/state
  cache directory = {folder}/cache
  lock directory = {folder}/lock
  pid directory = {folder}/run
  ncalrpc dir = {folder}/ncalrpc
  log level = 0
  # pysmb speaks nothing newer than SMB 2.0.2.
  server min protocol = SMB2_02
  ntlm auth = ntlmv2-only
  map to guest = never
  restrict anonymous = 2
  # The share's user is the account that runs smbd: no Unix account has to be made for it.
  username map = {folder}/users.map
  load printers = no
  printcap name = /dev/null
  disable spoolss = yes
  # The helpers serve share lists and printers; they detach themselves and would outlive smbd.
  rpc start on demand helpers = no
[{share}]
  path = {share_path}
  valid users = {account}
  read only = no
"""


class Smb:
    """The file share of the stack."""

    async def prepare(self, context: PartContext) -> Launch:
        """Write the configuration and the one password."""
        folder = context.folder(PartName.SMB)
        share_path = context.state.root / "share"
        share_path.mkdir(exist_ok=True)
        smbd, pdbedit = find_program("smbd"), find_program("pdbedit")
        if smbd is None or pdbedit is None:
            return _local_folder(share_path)
        port = context.port("smb")
        password = context.state.secret("smb")
        configuration = _configure(folder, share_path, port)
        await _set_password(pdbedit, configuration, password)
        foreground = ("--foreground", "--no-process-group", "--debug-stdout")
        return Launch(
            program=Program(arguments=(smbd, *foreground, "-s", configuration)),
            address=f"//{LOOPBACK}:{port}/{SHARE}",
            env={
                "PENSTOCK_SHARE_KIND": "smb",
                "PENSTOCK_SHARE_PATH": str(share_path),
                "NAS_SERVER_IP": LOOPBACK,
                "NAS_SERVER_NAME": SERVER_NAME,
                "NAS_PORT": str(port),
                "NAS_SHARE_NAME": SHARE,
                "NAS_BASE_PATH": "",
                "NAS_USERNAME": USER,
                "NAS_PASSWORD": password,
                "CLIENT_MACHINE_NAME": CLIENT_NAME,
            },
        )

    async def until_ready(self, launch: Launch) -> None:
        """Wait until smbd accepts connections, which it does only when it can serve them."""
        if "NAS_PORT" in launch.env:
            await until_connected(int(launch.env["NAS_PORT"]))


def find_program(name: str) -> str | None:
    """Return the path of a Samba program, also where it is off the user's PATH."""
    return shutil.which(name) or shutil.which(name, path=":".join(_PLACES))


def _local_folder(share_path: Path) -> Launch:
    return Launch(
        program=None,
        address=str(share_path),
        env={"PENSTOCK_SHARE_KIND": "local", "PENSTOCK_SHARE_PATH": str(share_path)},
    )


def _configure(folder: Path, share_path: Path, port: int) -> Path:
    for name in ("private", "state", "cache", "lock", "run", "ncalrpc"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "private").chmod(0o700)
    account = _account()
    (folder / "users.map").write_text(f"{account} = {USER}\n")
    configuration = folder / "smb.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            server_name=SERVER_NAME,
            port=port,
            host=LOOPBACK,
            folder=folder,
            share=SHARE,
            share_path=share_path,
            account=account,
        )
    )
    return configuration


def _account() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


async def _set_password(pdbedit: str, configuration: Path, password: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(pdbedit, "-s", str(configuration), "-a", "-t", "-u", _account()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(f"{password}\n{password}\n".encode())
    if process.returncode != 0:
        reason = output.decode(errors="replace").strip().splitlines()[-1:]
        raise PartDiedError(f"Samba refused the share's password: {' '.join(reason)}")
