"""Parts that are not started because the environment says where they are."""

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from penstock.stack.errors import StackError
from penstock.stack.model import PartName
from penstock.stack.ports import LOOPBACK
from penstock.stack.settings import EXPORTS
from penstock.stack.statedir import StateDir

_CONNECT_SECONDS = 5.0
_DEFAULT_PORTS = {"postgresql": 5432, "postgres": 5432, "http": 80, "https": 443}
_MARKERS = {part: names[0] for part, names in EXPORTS.items()}

Given = Mapping[PartName, Mapping[str, str]]


def foreign(given: Given, state: StateDir) -> dict[PartName, dict[str, str]]:
    """Return what is not this very stack.

    Whoever ran `eval "$(penstock env)"` and later starts the stack again has its own old addresses
    in the environment; they say nothing about a server of somebody else.
    """
    return {
        part: dict(env)
        for part, env in given.items()
        if address_of(part, env) != (LOOPBACK, state.remembered_port(part.value))
    }


def address_of(part: PartName, env: Mapping[str, str]) -> tuple[str, int]:
    """Return host and port of a given part."""
    try:
        return _parse(part, env)
    except (KeyError, ValueError) as error:
        # The value may carry a password: it is not repeated.
        raise StackError(
            f"{_MARKERS[part]} is not an address that can be understood; correct or unset it."
        ) from error


def _parse(part: PartName, env: Mapping[str, str]) -> tuple[str, int]:
    value = env[_MARKERS[part]]
    match part:
        case PartName.SMB:
            return value, int(env.get("NAS_PORT") or 445)
        case PartName.KAFKA:
            host, _, port = value.split(",")[0].strip().rpartition(":")
            return host.strip("[]"), int(port)
        case PartName.POSTGRES | PartName.S3:
            url = urlsplit(value)
            return url.hostname or LOOPBACK, url.port or _DEFAULT_PORTS[url.scheme]


def check_reachable(part: PartName, env: Mapping[str, str]) -> str:
    """Return the address of a given part, once something listens there."""
    host, port = address_of(part, env)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise StackError(
            f"{_MARKERS[part]} points to {host}:{port}, where nothing answers; "
            f"start that server, or unset {_MARKERS[part]} to have one started here."
        ) from error
    return f"{host}:{port}"
