"""The composition root: the only place where ports meet their adapters."""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.db import Database
from wrds_sync.adapters.authority import NoAuthority, PostgresAuthority
from wrds_sync.adapters.credentials import FileCredentials
from wrds_sync.adapters.ledger import PostgresLedger, SilentLedger
from wrds_sync.adapters.local_storage import LocalStorage
from wrds_sync.adapters.rclone import RcloneBackup
from wrds_sync.adapters.s3_storage import S3Storage
from wrds_sync.adapters.version_inspector import VersionInspector
from wrds_sync.adapters.volume_locks import VolumeLocks
from wrds_sync.adapters.wrds_client import WrdsClient
from wrds_sync.domain.validation import DataValidator
from wrds_sync.errors import DatasetConfigError, SourceRefusedError
from wrds_sync.handlers.attempts import Attempts
from wrds_sync.handlers.copying import PartitionCopier
from wrds_sync.handlers.registry import SchemaRegistry
from wrds_sync.handlers.restating import Restatements
from wrds_sync.handlers.sessions import Sessions
from wrds_sync.handlers.sync import SyncManager
from wrds_sync.handlers.targets import Targets
from wrds_sync.handlers.verify import Verifier
from wrds_sync.ports import Authority, Backup, Credentials, Ledger, Locks, Source, Storage
from wrds_sync.settings.datasets import DatasetCatalog, load_datasets
from wrds_sync.settings.environment import MirrorSettings, WrdsSyncSettings, secrets_dir

AnySettings = MirrorSettings | WrdsSyncSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Everything that a process of the mirror works with."""

    catalog: DatasetCatalog
    storage: Storage
    locks: Locks
    targets: Targets
    restatements: Restatements
    credentials: Credentials | None
    source: Source | None
    backup: Backup | None

    async def close(self) -> None:
        """Give back connections."""
        if self.source is not None:
            await self.source.close()


def build_mirror(settings: AnySettings, *, database: Database | None, clock: Clock) -> Mirror:
    """Wire the mirror.

    Raises:
        DatasetConfigError: the data set file, or the choice of storage, is wrong.
    """
    sync = settings.sync
    catalog = load_datasets(settings.process.config_directory)
    storage = build_storage(settings, clock)
    locks = VolumeLocks(sync.storage_path / "locks", clock=clock)
    ledger: Ledger = PostgresLedger(database) if database else SilentLedger()
    credentials = FileCredentials(settings.wrds, secrets_dir()) if settings.wrds else None
    source = None
    if settings.wrds is not None and credentials is not None:
        source = WrdsClient(settings.wrds, credentials, clock=clock)
    inspector = VersionInspector()
    restatements = Restatements(storage, inspector, clock)
    registry = SchemaRegistry(storage.documents, ledger)
    manager = None
    if source is not None:
        authority: Authority = PostgresAuthority(database) if database else NoAuthority()
        manager = build_manager(
            source,
            storage,
            locks,
            authority=authority,
            inspector=inspector,
            ledger=ledger,
            clock=clock,
            lock_timeout_seconds=sync.lock_timeout_seconds,
            keep_vintages=sync.keep_vintages,
        )
    return Mirror(
        catalog=catalog,
        storage=storage,
        locks=locks,
        targets=Targets(
            catalog.select, manager, Verifier(storage, registry), no_account=_no_account
        ),
        restatements=restatements,
        credentials=credentials,
        source=source,
        backup=_build_backup(settings),
    )


def build_manager(
    source: Source,
    storage: Storage,
    locks: Locks,
    *,
    authority: Authority,
    inspector: VersionInspector,
    ledger: Ledger,
    clock: Clock,
    lock_timeout_seconds: float = 30.0,
    keep_vintages: int = 3,
) -> SyncManager:
    """Wire the sync itself."""
    restatements = Restatements(storage, inspector, clock)
    copier = PartitionCopier(source, storage, inspector, validator=DataValidator(), clock=clock)
    return SyncManager(
        source,
        storage,
        Sessions(locks, authority, storage, clock=clock, timeout_seconds=lock_timeout_seconds),
        attempts=Attempts(
            storage,
            copier,
            restatements=restatements,
            ledger=ledger,
            clock=clock,
            keep_vintages=keep_vintages,
        ),
        registry=SchemaRegistry(storage.documents, ledger),
        restatements=restatements,
        ledger=ledger,
        clock=clock,
    )


def build_storage(settings: AnySettings, clock: Clock) -> Storage:
    """Return the storage that the settings choose.

    Raises:
        DatasetConfigError: S3 without its settings.
    """
    root = settings.sync.storage_path
    if settings.sync.storage == "local":
        return LocalStorage(root, clock=clock)
    if settings.blobs is None:
        raise DatasetConfigError("`WRDS_SYNC_STORAGE` is s3, and no `S3_` setting is there")
    return S3Storage(settings.blobs, root, clock=clock)


def _build_backup(settings: AnySettings) -> Backup | None:
    remote = settings.sync.backup_remote
    if remote and settings.sync.storage != "local":
        raise DatasetConfigError(
            "`WRDS_SYNC_BACKUP_REMOTE` copies a folder; let the store replicate its bucket itself"
        )
    return RcloneBackup(settings.sync.storage_path, remote) if remote else None


def _no_account() -> SourceRefusedError:
    return SourceRefusedError("no account: set `WRDS_USERNAME` and `WRDS_PASSWORD`")
