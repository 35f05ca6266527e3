"""The service's entry: settings, then the app; `--check` looks at everything and runs nothing."""

import argparse
import asyncio
import sys

from chassis.errors import SettingsError
from chassis.process import exit_on_bad_settings, serve
from scanner import app
from scanner.settings.environment import load_scanner_settings


def main() -> int:
    """Run the scanner; return the exit code."""
    parser = argparse.ArgumentParser(prog="scanner", description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="check environment, configuration and shares, print one line each, and exit",
    )
    arguments = parser.parse_args()
    try:
        settings = load_scanner_settings()
    except SettingsError as error:
        return exit_on_bad_settings(error)
    if arguments.check:
        return asyncio.run(app.check(settings, sys.stdout.write))
    return serve(app.SERVICE, settings, lambda: app.run(settings))


if __name__ == "__main__":
    sys.exit(main())
