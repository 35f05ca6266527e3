"""The environment of a test run: addresses of given servers are taken down, the rest is removed.

A developer's shell often carries the exports of a running stack. No test may depend on them, so
they are read here once, before any test module is imported, and then deleted.
"""

import os
from collections.abc import Mapping

_OURS = (
    "AWS_",
    "CLIENT_MACHINE_NAME",
    "CONFIG_PATH",
    "CONSOLE_",
    "DATABASE_",
    "INGESTOR_",
    "KAFKA_",
    "NAS_",
    "PENSTOCK_",
    "REFRESHER_",
    "S3_",
    "SCANNER_",
    "SOURCE_DB_",
    "TARGET_DB_",
    "TRANSFORMER_",
    "WRDS_",
)
_KEPT = frozenset({"AWS_CA_BUNDLE", "PENSTOCK_CACHE_DIR", "PENSTOCK_TEST_SERVERS"})
"""Where downloads are kept and where servers come from is the machine's business, not a test's."""


def take_environment() -> Mapping[str, str]:
    """Remove our variables from the environment and return them."""
    environ = os.environ  # noqa: TID251 - the one place that cleans it
    ours = [name for name in environ if name.startswith(_OURS) and name not in _KEPT]
    return {name: environ.pop(name) for name in ours}


IS_CI = os.environ.get("CI") == "true"  # noqa: TID251 - as above
"""Whether this run decides about a change."""

SERVERS = os.environ.get("PENSTOCK_TEST_SERVERS", "local")  # noqa: TID251 - as above
"""`local` for processes of this machine, `docker` for containers."""

GIVEN: Mapping[str, str] = take_environment()
"""What the environment said before it was cleaned."""
