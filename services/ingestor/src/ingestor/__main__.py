"""Starts the ingestor: `ingestor`, or `python -m ingestor`."""

import sys

from chassis.errors import SettingsError
from chassis.process import exit_on_bad_settings, serve
from chassis.settings import load_settings
from ingestor.app import run
from ingestor.settings import IngestorSettings


def main() -> int:
    """Run the service; returns the exit code."""
    try:
        settings = load_settings(IngestorSettings)
    except SettingsError as error:
        return exit_on_bad_settings(error)
    return serve("ingestor", settings, lambda: run(settings))


if __name__ == "__main__":
    sys.exit(main())
