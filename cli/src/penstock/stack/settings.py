"""What the environment tells the local stack. Read here, once, and passed on as a value."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from platformdirs import user_cache_path

from penstock.stack.errors import StackError
from penstock.stack.model import PartName

STATE_FOLDER = ".penstock"

EXPORTS = {
    PartName.KAFKA: ("KAFKA_BOOTSTRAP_SERVERS",),
    PartName.POSTGRES: ("DATABASE_URL",),
    PartName.S3: (
        "S3_ENDPOINT_URL",
        "S3_BUCKET",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
    ),
    PartName.SMB: (
        "NAS_SERVER_IP",
        "NAS_SERVER_NAME",
        "NAS_PORT",
        "NAS_SHARE_NAME",
        "NAS_BASE_PATH",
        "NAS_USERNAME",
        "NAS_PASSWORD",
        "CLIENT_MACHINE_NAME",
        "PENSTOCK_SHARE_KIND",
        "PENSTOCK_SHARE_PATH",
    ),
}
"""What a client must know of each part. The first name, when set, says that the part exists."""

PORT_NAMES = ("kafka", "kafka-controller", "postgres", "s3", "smb")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """Folders, ports and foreign addresses."""

    state_dir: Path
    cache_dir: Path
    """Where downloaded servers are kept between stacks."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Ports the user insists on, by name."""
    given: Mapping[PartName, Mapping[str, str]] = field(default_factory=dict)
    """Exports of the parts that exist already and are not to be started."""

    def in_folder(self, state_dir: Path) -> "StackSettings":
        """Return these settings for another state folder."""
        return replace(self, state_dir=state_dir.expanduser().absolute())

    def on_ports(self, ports: Mapping[str, int]) -> "StackSettings":
        """Return these settings with ports to insist on."""
        return replace(self, ports=dict(ports))


def read_settings(environ: Mapping[str, str] | None = None) -> StackSettings:
    """Read the settings of the stack from `environ`, by default the process's own."""
    source = os.environ if environ is None else environ  # noqa: TID251 - this is the settings module
    state_dir = source.get("PENSTOCK_STATE_DIR") or _nearest_state_dir(Path.cwd())
    cache_dir = source.get("PENSTOCK_CACHE_DIR")
    return StackSettings(
        state_dir=Path(state_dir).expanduser().absolute(),
        cache_dir=Path(cache_dir).expanduser().absolute()
        if cache_dir
        else user_cache_path("penstock"),
        given={
            part: {name: source[name] for name in names if source.get(name)}
            for part, names in EXPORTS.items()
            if source.get(names[0])
        },
    )


def _nearest_state_dir(folder: Path) -> Path:
    """Return the state folder of the project one stands in, also from a folder below."""
    for ancestor in (folder, *folder.parents):
        if (ancestor / STATE_FOLDER).is_dir():
            return ancestor / STATE_FOLDER
    return folder / STATE_FOLDER


def parse_port(what: str, value: str) -> int:
    """Return `value` as a TCP port; `what` names its origin in the error."""
    if value.isascii() and value.isdigit() and 0 < int(value) <= 65_535:  # noqa: PLR2004 - TCP
        return int(value)
    raise StackError(f"{what} must be a port number from 1 to 65535, not {value!r}.")
