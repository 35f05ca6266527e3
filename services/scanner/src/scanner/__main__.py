"""Starts the scanner: `scanner`, or `python -m scanner`; `--check` looks and runs nothing."""

import asyncio
import sys

from chassis.doctor import print_findings, settings_main, wants_check
from chassis.errors import SettingsError
from chassis.process import exit_on_bad_settings, serve
from scanner import app
from scanner.settings.environment import load_scanner_settings


def main() -> int:
    """Run the service, or check what it needs; return the exit code."""
    is_check = wants_check(app.SERVICE, __doc__)
    try:
        settings = load_scanner_settings()
    except SettingsError as error:
        return settings_main(app.SERVICE, error) if is_check else exit_on_bad_settings(error)
    if is_check:
        return print_findings(asyncio.run(app.check(settings)))
    return serve(app.SERVICE, settings, lambda: app.run(settings))


if __name__ == "__main__":
    sys.exit(main())
