"""Starts the sample API: `python -m penstock.sample_api --data examples`.

The first line on stdout is JSON with its address; it serves until it is stopped.
"""

import argparse
import json
import socket
import sys
from pathlib import Path

import uvicorn

from penstock.sample_api.app import Credentials, SampleApi
from penstock.sample_api.directory import Directory
from penstock.sample_api.market import Market

_GRACE_SECONDS = 2


def main() -> int:
    """Serve until a signal comes."""
    given = _arguments()
    api = SampleApi(
        Market.load(given.data / "market"),
        Directory.load(given.data / "directory"),
        Credentials(token_seconds=given.token_seconds),
    )
    listener = socket.create_server((given.host, given.port))
    print(json.dumps({"url": f"http://{given.host}:{listener.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(
        api.application(), log_level="warning", timeout_graceful_shutdown=_GRACE_SECONDS
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="penstock.sample_api", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with market/, directory/")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--token-seconds", type=float, default=3600.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
