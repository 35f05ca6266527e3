"""Starts the transformer: `transformer`, or `python -m transformer`; `--check` runs nothing."""

import argparse
import asyncio
import os
import sys

from chassis.doctor import check_main, settings_main
from chassis.errors import PenstockError, SettingsError
from chassis.process import exit_on_bad_settings, serve
from chassis.settings import load_settings
from transformer.settings import TablesSettings, TransformerPart, TransformerSettings

SERVICE = "transformer"


def main() -> int:
    """Run the service, check what it needs, or make its tables; return the exit code."""
    wanted = _read_arguments()
    try:
        if wanted.tables:
            return _make_tables(load_settings(TablesSettings))
        settings = load_settings(TransformerSettings)
    except SettingsError as error:
        return settings_main(SERVICE, error) if wanted.check else exit_on_bad_settings(error)
    _tell_polars(settings.transformer)
    from transformer.app import checks, run  # noqa: PLC0415 - after polars was told

    if wanted.check:
        return check_main(SERVICE, checks(settings))
    return serve(SERVICE, settings, lambda: run(settings))


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=SERVICE, description=__doc__)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--check", action="store_true", help="look at everything the service needs, and exit"
    )
    instead.add_argument(
        "--tables",
        action="store_true",
        help="make the silver tables that the rules need, and exit; `penstock migrate` does it",
    )
    return parser.parse_args()


def _tell_polars(part: TransformerPart) -> None:
    # polars reads this once, when it is first imported: hence the late imports above and below.
    os.environ.setdefault("POLARS_MAX_THREADS", str(part.polars_threads))  # noqa: TID251


def _make_tables(settings: TablesSettings) -> int:
    _tell_polars(settings.transformer)
    from transformer.app import make  # noqa: PLC0415 - after polars was told

    try:
        statements = asyncio.run(make(settings))
    except PenstockError as error:
        return exit_on_bad_settings(error)
    for statement in statements:
        sys.stdout.write(f"{statement.partition(' (')[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
