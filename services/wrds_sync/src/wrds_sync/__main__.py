"""Starts the service: `wrds_sync`, or `python -m wrds_sync`; `--check` looks and runs nothing; a
verb, such as `status`, works on the mirror of this machine.
"""

import asyncio
import sys


def main() -> int:
    """Run the service, check what it needs, or run a verb; return the exit code."""
    arguments = sys.argv[1:]
    # Each way imports what it needs: a verb is typed by a person, and the bus takes a second.
    if arguments and not arguments[0].startswith("-"):
        from wrds_sync.app import commands  # noqa: PLC0415

        return commands.main(arguments)
    return _serve_or_check()


def _serve_or_check() -> int:
    from chassis.doctor import print_findings, settings_main, wants_check  # noqa: PLC0415
    from chassis.errors import SettingsError  # noqa: PLC0415
    from chassis.process import exit_on_bad_settings, serve  # noqa: PLC0415
    from chassis.settings import load_settings  # noqa: PLC0415
    from wrds_sync.app import service  # noqa: PLC0415
    from wrds_sync.settings.environment import WrdsSyncSettings  # noqa: PLC0415

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
