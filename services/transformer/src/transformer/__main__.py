"""Starts the transformer: `transformer`, or `python -m transformer`; `--check` runs nothing."""

import os
import sys

from chassis.doctor import check_main, settings_main, wants_check
from chassis.errors import SettingsError
from chassis.process import exit_on_bad_settings, serve
from chassis.settings import load_settings
from transformer.settings import TransformerSettings

SERVICE = "transformer"


def main() -> int:
    """Run the service, or check what it needs; return the exit code."""
    is_check = wants_check(SERVICE, __doc__)
    try:
        settings = load_settings(TransformerSettings)
    except SettingsError as error:
        return settings_main(SERVICE, error) if is_check else exit_on_bad_settings(error)
    # polars reads this once, when it is first imported: hence the order, and the late import.
    threads = str(settings.transformer.polars_threads)
    os.environ.setdefault("POLARS_MAX_THREADS", threads)  # noqa: TID251
    from transformer.app import checks, run  # noqa: PLC0415

    if is_check:
        return check_main(SERVICE, checks(settings))
    return serve(SERVICE, settings, lambda: run(settings))


if __name__ == "__main__":
    sys.exit(main())
