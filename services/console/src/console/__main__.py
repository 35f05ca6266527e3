"""Starts the console: `console`, or `python -m console`; `--check` looks and runs nothing."""

import sys

from chassis.doctor import check_main, settings_main, wants_check
from chassis.errors import SettingsError
from chassis.process import exit_on_bad_settings, serve
from chassis.settings import load_settings
from console.app.service import checks, run
from console.settings import ConsoleSettings

SERVICE = "console"


def main() -> int:
    """Run the service, or check what it needs; returns the exit code."""
    is_check = wants_check(SERVICE, __doc__)
    try:
        settings = load_settings(ConsoleSettings)
    except SettingsError as error:
        return settings_main(SERVICE, error) if is_check else exit_on_bad_settings(error)
    if is_check:
        return check_main(SERVICE, checks(settings))
    return serve(SERVICE, settings, lambda: run(settings))


if __name__ == "__main__":
    sys.exit(main())
