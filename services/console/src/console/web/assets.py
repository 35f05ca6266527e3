"""Static files, read once: their address holds their hash, so that browsers may keep them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    body: bytes
    media_type: str
    version: str


def load_assets() -> Mapping[str, Asset]:
    """Return the files of `static/` by name."""
    found = {}
    for file in files("console.web").joinpath("static").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in _TYPES:
            body = file.read_bytes()
            version = hashlib.sha256(body).hexdigest()[:12]
            found[file.name] = Asset(body, _TYPES[suffix], version)
    return found
