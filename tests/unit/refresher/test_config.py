"""The original's files load as they are, with its defaults; what is wrong is named."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from chassis.sources import ConfigError
from refresher.adapters.config_file import load_config
from refresher.domain.config import (
    IncrementalType,
    LocalRows,
    RefreshConfig,
    Strategy,
    SyncMode,
    VerifyLevel,
)

ORIGINAL = """
databases:
  source:
    server: "prod-sql-server"
    database: "ProductionDB"
    auth_type: "windows"  # or "sql"
    # credentials via environment variables
  target:
    server: "uat-sql-server"
    database: "UATDB"
    auth_type: "sql"
    # credentials via environment variables

tables:
  # Static reference data - full refresh
  - name: "Users"
    strategy: "simple_copy"
    sync_mode: "full_replace"
    truncate_target: true

  # Large table with identity-based incremental sync
  - name: "Orders"
    strategy: "simple_copy"
    sync_mode: "incremental"
    incremental_column: "order_id"
    incremental_type: "identity"  # Uses MAX(order_id) from target

  # Reporting table with date-based incremental sync
  - name: "DailyReports"
    strategy: "staging_partition_switch"
    sync_mode: "incremental"
    incremental_column: "report_date"
    incremental_type: "date"
    date_buffer_days: 7  # Re-sync last 7 days to catch updates
    batch_size: 10000

  # Mixed approach - check existing data first
  - name: "ProductCatalog"
    strategy: "simple_copy"
    sync_mode: "smart_sync"  # Check target, decide full vs incremental
    incremental_column: "last_modified"
    incremental_type: "datetime"
    fallback_to_full: true  # If target empty, do full sync

settings:
  default_batch_size: 5000
  connection_timeout: 30
  command_timeout: 300
  max_retries: 3
"""
ORIGINAL_TEST = """
# Override production settings for testing
databases:
  source:
    server: "localhost"
    database: "TestSource"
  target:
    server: "localhost"
    database: "TestTarget"

tables:
  - name: "Users"
    strategy: "simple_copy"
    row_limit: 100  # Testing only - limits rows copied

settings:
  dry_run: true  # Testing only - shows what would be done
  verbose_logging: true
"""


def read(text: str) -> RefreshConfig:
    return RefreshConfig.model_validate(yaml.safe_load(text))


@pytest.mark.covers("S4-03", "S4-04", "S4-11", "S4-12", "S4-13")
def test_the_originals_config_yaml_loads_as_it_is() -> None:
    config = read(ORIGINAL)
    users, orders, reports, catalog = config.tables
    assert (users.sync_mode, users.strategy) == (SyncMode.FULL_REPLACE, Strategy.SIMPLE_COPY)
    assert orders.incremental_type is IncrementalType.IDENTITY
    assert (reports.date_buffer_days, reports.batch_size) == (7, 10_000)
    assert reports.strategy is Strategy.STAGING_PARTITION_SWITCH
    assert catalog.fallback_to_full is True
    assert config.databases.source.auth_type == "windows"
    assert config.databases.target.schema_name == "dbo"
    settings = config.settings
    assert (settings.default_batch_size, settings.max_retries) == (5000, 3)
    assert (settings.connection_timeout, settings.command_timeout) == (30, 300)
    assert config.masking is None


@pytest.mark.covers("S4-11", "S4-13", "S4-15")
def test_the_originals_config_test_yaml_loads_as_it_is() -> None:
    config = read(ORIGINAL_TEST)
    assert config.tables[0].row_limit == 100
    assert (config.settings.dry_run, config.settings.verbose_logging) == (True, True)
    assert config.settings.default_batch_size == 5000


@pytest.mark.covers("S4-15")
def test_a_test_file_may_extend_the_real_one(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(ORIGINAL)
    (tmp_path / "config-test.yaml").write_text("extends: config.yaml\n" + ORIGINAL_TEST)
    config = load_config(tmp_path / "config-test.yaml")
    assert [table.name for table in config.tables] == ["Users"]
    assert config.tables[0].truncate_target is True
    assert config.databases.source.server == "localhost"
    assert config.databases.source.auth_type == "windows"
    assert config.settings.command_timeout == 300


def test_our_own_keys_have_careful_defaults() -> None:
    table = read(ORIGINAL).tables[0]
    assert table.local_rows is LocalRows.OVERWRITE
    assert table.verify is VerifyLevel.CHECKSUM
    assert read(ORIGINAL).approval.destructive == "ask"
    assert read(ORIGINAL).approval.may_force == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("truncate_target", "truncate_taget"), "Extra inputs are not permitted"),
        (('incremental_column: "order_id"', "batch_size: 5"), "needs `incremental_column`"),
        (('name: "Orders"', 'name: "Users"'), "these tables stand twice: Users"),
        (('name: "Orders"', 'name: "all"'), "no table may be called so"),
        (('name: "Orders"', 'name: "Orders; drop"'), "String should match pattern"),
    ],
)
def test_mistakes_are_named(change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        read(ORIGINAL.replace(*change, 1))


def test_copies_between_different_systems_are_refused_clearly() -> None:
    text = ORIGINAL.replace('server: "uat-sql-server"', 'server: "uat"\n    kind: postgresql')
    with pytest.raises(ValidationError, match="between different database systems are not"):
        read(text)


@pytest.mark.parametrize("where", ["table", "settings"])
def test_batches_are_refused_where_rows_are_streamed(where: str) -> None:
    data = yaml.safe_load(ORIGINAL)
    for database in data["databases"].values():
        database["kind"] = "postgresql"
    if where == "table":
        del data["settings"]["default_batch_size"]
    else:
        for table in data["tables"]:
            table.pop("batch_size", None)
    with pytest.raises(ValidationError, match="streams rows without batches"):
        RefreshConfig.model_validate(data)


def test_files_that_extend_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml")
    (tmp_path / "b.yaml").write_text("extends: a.yaml")
    with pytest.raises(ConfigError, match="in a circle"):
        load_config(tmp_path / "a.yaml")


def test_a_file_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`none.yaml` cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_no_key_of_the_file_holds_a_credential() -> None:
    words = str(RefreshConfig.model_json_schema()).lower()
    assert "password" not in words
