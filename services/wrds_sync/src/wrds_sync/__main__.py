"""Starts the service: `wrds_sync`, or `python -m wrds_sync`; `--check` looks and runs nothing; a
verb, such as `status`, works on the mirror of this machine.
"""

import asyncio
import sys

from chassis.doctor import print_findings, settings_main, wants_check
from chassis.errors import SettingsError
from chassis.process import exit_on_bad_settings, serve
from chassis.settings import load_settings
from wrds_sync.app import commands, service
from wrds_sync.settings.environment import WrdsSyncSettings


def main() -> int:
    """Run the service, check what it needs, or run a verb; return the exit code."""
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        return commands.main(arguments)
    is_check = wants_check(service.SERVICE, __doc__)
    try:
        settings = load_settings(WrdsSyncSettings)
    except SettingsError as error:
        if is_check:
            return settings_main(service.SERVICE, error)
        return exit_on_bad_settings(error)
    if is_check:
        return print_findings(asyncio.run(service.check(settings)))
    return serve(service.SERVICE, settings, lambda: service.run(settings))


if __name__ == "__main__":
    sys.exit(main())
