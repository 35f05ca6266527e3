"""The configured file sources, completed by the configuration that lies on the NAS (E-03)."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from chassis.clock import Clock
from chassis.errors import PenstockError
from chassis.logs import get_logger
from chassis.shares.port import Share
from chassis.sources import ConfigError, ShareConfig, parse_yaml
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.domain.institutions import InstitutionDirectory
from scanner.errors import ScanRequestError
from scanner.settings.nas import NasConfig, layer
from scanner.settings.scan import ScanConfig

MAX_CONFIG_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileSource:
    """One source, as far as it is known without asking the NAS."""

    name: str
    share: ShareConfig
    scan: ScanConfig
    institutions: InstitutionDirectory


class NasConfigReader:
    """Reads the file at `CONFIG_PATH`, now and then; the last good one stands in an outage."""

    def __init__(
        self, open_share: Callable[[], Share], path: str, *, clock: Clock, keep_seconds: float
    ) -> None:
        self._open_share = open_share
        self._path = path
        self._clock = clock
        self._keep_seconds = keep_seconds
        self._config: NasConfig | None = None
        self._read_at = float("-inf")

    async def current(self) -> NasConfig:
        """Return the configuration.

        Raises:
            ConfigError: it cannot be parsed or is wrong, and there is no earlier one.
            PenstockError: it cannot be read, and there is no earlier one.
        """
        now = self._clock.monotonic()
        if self._config is not None and now - self._read_at < self._keep_seconds:
            return self._config
        try:
            config = await self._read()
        except PenstockError as error:
            if self._config is None:
                raise
            metrics.count_error(error.category)
            get_logger().error("nas_config_kept", reason=error.message, category=error.category)
            config = self._config
        if self._config is not None and config != self._config:
            get_logger().info("nas_config_changed")
        self._config, self._read_at = config, now
        return config

    async def _read(self) -> NasConfig:
        share = self._open_share()
        try:
            content = await share.read_file(self._path, max_bytes=MAX_CONFIG_BYTES)
        finally:
            await share.close()
        try:
            text = content.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(
                "The configuration on the NAS is not UTF-8.", category=ErrorCategory.CONFIG_PARSE
            ) from error
        return parse_yaml(NasConfig, text, name=self._path)


class SourceCatalog:
    """Finds sources by name."""

    def __init__(
        self, sources: Mapping[str, FileSource], *, nas: NasConfigReader | None, base_path: str
    ) -> None:
        self._configured = dict(sources)
        self._resolved = dict(sources)
        self._nas = nas
        self._base_path = base_path

    def names(self) -> Collection[str]:
        """Return the names of all sources."""
        return self._configured.keys()

    def all(self) -> Collection[FileSource]:
        """Return all sources, as they were resolved last."""
        return self._resolved.values()

    def institutions(self, name: str) -> InstitutionDirectory:
        """Return the monitored institutions of a source, as they were read last."""
        source = self._resolved.get(name)
        return source.institutions if source else InstitutionDirectory()

    async def resolve(self, name: str) -> FileSource:
        """Return a source with everything that its scan needs.

        Raises:
            ScanRequestError: there is none of that name.
            PenstockError: the configuration on the NAS is needed, and cannot be had.
        """
        source = self._configured.get(name)
        if source is None:
            raise ScanRequestError(f"`{name}` is no configured file source", source=name)
        if source.scan.nas_config:
            source = await self._complete(source)
        self._resolved[name] = source
        return source

    async def _complete(self, source: FileSource) -> FileSource:
        if self._nas is None:
            raise ConfigError(f"`{source.name}`: `nas_config` needs the setting `CONFIG_PATH`")
        nas = await self._nas.current()
        root = source.share.root.strip("/") if source.share.kind == "smb" else ""
        try:
            scan = layer(source.scan, nas, base=self._base_path, root=root)
        except ValueError as error:
            raise ConfigError(f"`{source.name}`: {error}") from error
        has_own = len(source.institutions) > 0
        institutions = source.institutions if has_own else nas.directory()
        return replace(source, scan=scan, institutions=institutions)
