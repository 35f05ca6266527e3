"""Starts the transformer: `transformer`, or `python -m transformer`."""

import os
import sys

from chassis.errors import PenstockError
from chassis.process import exit_on_bad_settings, serve
from chassis.settings import load_settings
from transformer.settings import TransformerSettings


def main() -> int:
    """Run the service; return the exit code."""
    try:
        settings = load_settings(TransformerSettings)
    except PenstockError as error:
        return exit_on_bad_settings(error)
    # polars reads this once, when it is first imported: hence the order, and the late import.
    threads = str(settings.transformer.polars_threads)
    os.environ.setdefault("POLARS_MAX_THREADS", threads)  # noqa: TID251
    from transformer.app import run  # noqa: PLC0415

    return serve("transformer", settings, lambda: run(settings))


if __name__ == "__main__":
    sys.exit(main())
