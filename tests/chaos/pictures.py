"""Draw the dashboards from the demo: `make pictures`."""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from deploy.grafana.boards import BOARDS
from deploy.grafana.pictures import draw
from tests.chaos.monitored import monitored_demo
from tests.support.paths import PROJECT

FOLDER = PROJECT / "docs/operations/dashboards"
_QUIET_SECONDS = 20.0
"""After the last figure, so that a quiet hub is seen too."""


def main() -> int:
    """Run the demo and write a picture of every dashboard."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-pictures-"))
    FOLDER.mkdir(exist_ok=True)
    try:
        with monitored_demo(folder, files=16) as hub:
            time.sleep(_QUIET_SECONDS)
            for board in BOARDS:
                name = board.uid.removeprefix("penstock-")
                draw(board, hub.history, FOLDER / f"{name}.png")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
