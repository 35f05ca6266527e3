"""A data set file for tests, and the environment of a process that uses it."""

from pathlib import Path

from tests.support.wrds_server import WrdsServer

DATASETS = """\
version: 1
datasets:
  - name: crsp_daily
    vendor: crsp
    frequency: daily
    table: crsp.dsf
    date_column: date
    start_year: 2000
    rules: {key: [permno, date], required: [permno, date]}
  - name: factors
    vendor: fama_french
    frequency: daily
    table: ff.factors_daily
    date_column: date
    start_year: 1926
    rules: {key: [date], required: [date]}
"""


def mirror_environment(server: WrdsServer, folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a mirror in `folder`, with a data set file of its own."""
    config = folder / "config"
    config.mkdir(exist_ok=True)
    (config / "datasets.yaml").write_text(DATASETS, "utf-8")
    return {
        **server.env,
        "PENSTOCK_CONFIG_DIRECTORY": str(config),
        "WRDS_SYNC_STORAGE_PATH": str(folder / "data"),
        "WRDS_SYNC_LOCK_TIMEOUT_SECONDS": "0.5",
        "WRDS_SYNC_SCHEDULE": "false",
        # A process that a test kills leaves the group soon: the next test's waits for that.
        "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
    } | changes
