"""The log-on to the archive, from secret files (S5-13), with an eye on its end (S5-48)."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from chassis.logs import register_secrets
from wrds_sync.domain.tables import Credential
from wrds_sync.errors import SourceRefusedError
from wrds_sync.settings.environment import WRDSConfig


class FileCredentials:
    """Reads the secrets folder anew each time; without files, the settings as they were."""

    def __init__(self, config: WRDSConfig, secrets_dir: Path | None) -> None:
        self._config = config
        self._secrets_dir = secrets_dir

    def read(self) -> Credential:
        """Return the present log-on.

        Raises:
            SourceRefusedError: a secret file is there and cannot be read.
        """
        username = self._secret("WRDS_USERNAME") or self._config.username
        password = self._secret("WRDS_PASSWORD") or self._config.password.get_secret_value()
        register_secrets([password])
        return Credential(username, password, self._expires_at())

    def _secret(self, name: str) -> str | None:
        path = self._path(name)
        if path is None:
            return None
        try:
            return path.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceRefusedError(f"the secret file `{name}` cannot be read") from error

    def _path(self, name: str) -> Path | None:
        path = self._secrets_dir / name if self._secrets_dir else None
        return path if path is not None and path.is_file() else None

    def _expires_at(self) -> datetime | None:
        if self._config.password_expires_on is not None:
            return datetime.combine(self._config.password_expires_on, time(), UTC)
        path = self._path("WRDS_PASSWORD")
        if path is None:
            return None
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return written + timedelta(days=self._config.password_max_age_days)
