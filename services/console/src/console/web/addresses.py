"""Addresses within the console."""

from urllib.parse import urlencode

from pydantic import BaseModel
from starlette.requests import Request


def address_of(request: Request) -> str:
    """Return path and query that the browser asked for."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def local_path(address: str) -> str:
    """Return where to go after the log-on: a path of ours, never another site."""
    # Browsers read `//host` and `/\\host` as another site, and drop tabs and newlines.
    is_ours = (
        address.startswith("/")
        and not address.startswith(("//", "/\\"))
        and address.isprintable()
        and "\\" not in address
    )
    return address if is_ours else "/"


def list_address(path: str, wanted: BaseModel, cursor: str = "") -> str:
    """Return the address of a list under the same conditions, from another place on."""
    given = wanted.model_dump(mode="json", exclude_defaults=True) | {"cursor": cursor}
    told = {name: value for name, value in given.items() if value not in ("", None)}
    query = urlencode(told, doseq=True)
    return f"{path}?{query}" if query else path
