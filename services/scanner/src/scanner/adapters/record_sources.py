"""Opens the record source that an entry of `config/sources.yaml` describes."""

from collections.abc import Callable
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.db import Database
from chassis.secrets import Secrets
from chassis.shares.port import Share
from chassis.sources import ShareConfig
from scanner.adapters.file_list import FileListSource, ShareRecordList
from scanner.adapters.http_source import HttpAccess, HttpSource, ItemPorts
from scanner.adapters.record_inventory import PostgresRecordInventory
from scanner.adapters.series_memory import PostgresSeriesMemory
from scanner.adapters.sql_postgres import PostgresRecords
from scanner.adapters.sql_server import SqlServerRecords
from scanner.ports.records import RecordList, RecordSource
from scanner.settings.file_list import FileListRecords
from scanner.settings.http import HttpRecords
from scanner.settings.ldap import LdapRecords
from scanner.settings.records import RecordScanConfig, RecordsConfig
from scanner.settings.sql import SqlRecords


@dataclass(frozen=True, slots=True)
class RecordAccess:
    """What the adapters need beside their own section."""

    secrets: Secrets
    open_share: Callable[[ShareConfig], Share]
    clock: Clock
    database: Database | None
    """For budgets that all replicas share; None in a check, which asks next to nothing."""


def open_record_source(
    config: RecordsConfig, scan: RecordScanConfig, access: RecordAccess
) -> RecordSource:
    """Return the adapter for a source; it connects at its first call."""
    cursor = scan.overlap.kind if scan.overlap else None
    match config:
        case HttpRecords():
            return HttpSource(config, _http_access(access))
        case SqlRecords(dialect="sqlserver"):
            connection = access.secrets[config.url]
            return SqlServerRecords(config, connection=connection, cursor=cursor)
        case SqlRecords():
            return PostgresRecords(config, url=access.secrets[config.url], cursor=cursor)
        case LdapRecords():
            # A quarter of a second of processor time for a client that few scanners need.
            from scanner.adapters.ldap_directory import LdapDirectory  # noqa: PLC0415

            return LdapDirectory(config, access.secrets, cursor=cursor)
        case FileListRecords():
            return FileListSource(config, access.open_share(config.share))


def _http_access(access: RecordAccess) -> HttpAccess:
    database = access.database
    return HttpAccess(
        secrets=access.secrets,
        clock=access.clock,
        database=database,
        open_share=lambda: access.open_share(ShareConfig(kind="smb", connections=1)),
        items=None
        if database is None
        else ItemPorts(PostgresRecordInventory(database).present, PostgresSeriesMemory(database)),
    )


def open_record_list(config: RecordsConfig, access: RecordAccess) -> RecordList | None:
    """Return where the clean list of a source is written; None where it has none."""
    if isinstance(config, FileListRecords) and config.clean_list is not None:
        return ShareRecordList(config.clean_list, access.open_share(config.share))
    return None
