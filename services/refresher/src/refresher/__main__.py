"""Starts the refresher: `refresher`, or `python -m refresher`.

`--check` looks at everything and runs nothing. `--config FILE` refreshes once with that file, as
the script that Penstock replaces did, and ends:
`--config config-test.yaml --dry-run --table Users`.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from chassis.doctor import check_main, settings_main
from chassis.errors import SettingsError
from chassis.process import exit_on_bad_settings, serve
from chassis.settings import load_settings
from refresher import app
from refresher.settings import OnceSettings, RefresherSettings, own_environment


def main() -> int:
    """Run the service, check what it needs, or refresh once; return the exit code."""
    arguments = _parser().parse_args()
    if arguments.config is not None:
        return _once(arguments)
    try:
        settings = load_settings(RefresherSettings, environment=own_environment())
    except SettingsError as error:
        if arguments.check:
            return settings_main(app.SERVICE, error)
        return exit_on_bad_settings(error)
    if arguments.check:
        return check_main(app.SERVICE, app.checks(settings))
    return serve(app.SERVICE, settings, lambda: app.run(settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=app.SERVICE, description=__doc__)
    parser.add_argument("--check", action="store_true", help="look at everything, and exit")
    parser.add_argument("--config", type=Path, help="refresh once with this file, and exit")
    parser.add_argument("--table", default="all", help="only this table")
    parser.add_argument("--dry-run", action="store_true", help="plan only")
    parser.add_argument("--force", action="store_true", help="skip the approval, if you may")
    return parser


def _once(arguments: argparse.Namespace) -> int:
    try:
        settings = load_settings(OnceSettings, environment=own_environment())
    except SettingsError as error:
        return exit_on_bad_settings(error)
    once = app.Once(
        path=arguments.config,
        table=arguments.table,
        is_dry=arguments.dry_run,
        is_forced=arguments.force,
    )
    return asyncio.run(app.run_once(settings, once))


if __name__ == "__main__":
    sys.exit(main())
