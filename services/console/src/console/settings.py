"""The console's settings."""

import ipaddress
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from chassis.errors import SettingsError
from chassis.settings import (
    DatabaseSettings,
    KafkaSettings,
    ProcessSettings,
    SettingsPart,
    env,
)
from console.domain.principals import NAME_PATTERN, FileUser
from console.domain.roles import Role


class WebSettings(SettingsPart):
    """Where the console is found, and how long a session lasts."""

    host: str = env("CONSOLE_HOST", "127.0.0.1")
    port: int = env("CONSOLE_PORT", 0, ge=0, le=65535)
    """The pages; 0 takes a free port and logs it. Probes have a port of their own."""

    public_url: str | None = env("CONSOLE_PUBLIC_URL", None)
    """As browsers see it, `https://penstock.example.org`; plain http is for this machine only."""

    users_file: Path | None = env("CONSOLE_USERS_FILE", None)
    """YAML with local users; read at start, its passwords win over those in the database."""

    session_hours: float = env("CONSOLE_SESSION_HOURS", 8.0, gt=0, le=24)
    idle_minutes: float = env("CONSOLE_IDLE_MINUTES", 30.0, gt=0)
    trusted_proxies: str = env("CONSOLE_TRUSTED_PROXIES", "")
    """Addresses or networks, by commas, whose `X-Forwarded-For` is believed."""

    services: str = env("CONSOLE_SERVICES", "")
    """Probe addresses for the page of services: `scanner=http://10.0.0.5:9100,…`."""

    @field_validator("public_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        is_local = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if not (parts.scheme == "https" and parts.hostname) and not is_local:
            raise PydanticCustomError(
                "address", "is not https://… (plain http is for a loopback address only)"
            )
        return f"{parts.scheme}://{parts.netloc}"

    @model_validator(mode="after")
    def _is_reachable_safely(self) -> Self:
        if self.public_url is None and not is_loopback(self.host):
            raise PydanticCustomError(
                "address", "`CONSOLE_PUBLIC_URL` is needed where `CONSOLE_HOST` is not loopback"
            )
        return self

    @property
    def probe_addresses(self) -> Sequence[tuple[str, str]]:
        """The services' probes by name; a service with several processes has several."""
        pairs = (item.partition("=") for item in self.services.split(",") if item.strip())
        return [(name.strip(), address.strip().rstrip("/")) for name, _, address in pairs]


class OidcSettings(SettingsPart):
    """Log-on through the organisation's identity provider."""

    issuer: str = env("CONSOLE_OIDC_ISSUER")
    client_id: str = env("CONSOLE_OIDC_CLIENT_ID")
    client_secret: SecretStr | None = env("CONSOLE_OIDC_CLIENT_SECRET", None)
    scopes: str = env("CONSOLE_OIDC_SCOPES", "openid profile email")
    role_claim: str = env("CONSOLE_OIDC_ROLE_CLAIM", "groups")
    viewers: str = env("CONSOLE_OIDC_VIEWERS", "")
    """Values of the claim that make a viewer, by commas; `*` is everybody who can log on."""

    operators: str = env("CONSOLE_OIDC_OPERATORS", "")
    approvers: str = env("CONSOLE_OIDC_APPROVERS", "")
    admins: str = env("CONSOLE_OIDC_ADMINS", "")

    @property
    def roles(self) -> Mapping[Role, frozenset[str]]:
        """The values of the claim that give each role."""
        texts = {
            Role.VIEWER: self.viewers,
            Role.OPERATOR: self.operators,
            Role.APPROVER: self.approvers,
            Role.ADMIN: self.admins,
        }
        return {
            role: frozenset(item.strip() for item in text.split(",") if item.strip())
            for role, text in texts.items()
        }


class ConsoleSettings(BaseModel):
    """Everything the process reads from its environment."""

    model_config = ConfigDict(frozen=True)

    kafka: KafkaSettings
    database: DatabaseSettings
    process: ProcessSettings
    web: WebSettings
    oidc: OidcSettings | None


class _UserSection(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    role: Role
    password_hash: Annotated[str, StringConstraints(pattern=r"^\$argon2id\$")]


class _UsersFile(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    users: tuple[_UserSection, ...] = ()


def read_users_file(settings: WebSettings) -> Sequence[FileUser]:
    """Return the users of the users file; nobody where there is none.

    Raises:
        SettingsError: it cannot be read, everybody may read it, or it is wrong.
    """
    path = settings.users_file
    if path is None:
        return ()
    problem = f"`CONSOLE_USERS_FILE`={path}"
    try:
        if path.stat().st_mode & stat.S_IROTH:
            raise SettingsError(f"{problem}: everybody may read it; set the mode to 0440 or 0400")
        found = _UsersFile.model_validate(yaml.safe_load(path.read_text("utf-8")) or {})
    except OSError as error:
        raise SettingsError(f"{problem} cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{problem}: {error}") from error
    return [FileUser(user.name, user.role, user.password_hash) for user in found.users]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
