"""What a test knows about a server: where it is and how to log on, never how it was started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """A broker that refuses to create topics by itself."""

    bootstrap_servers: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "KafkaAddress":
        return cls(env["KAFKA_BOOTSTRAP_SERVERS"])

    @property
    def env(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers}


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database server whose user may create databases."""

    url: str
    """Any database of the server; tests work in databases of their own."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "PostgresAddress":
        return cls(env["DATABASE_URL"])

    def database(self, name: str) -> str:
        """Return the URL of another database of this server."""
        head, query, options = self.url.partition("?")
        return f"{head.rpartition('/')[0]}/{name}{query}{options}"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Address:
    """An S3 server with one bucket."""

    endpoint_url: str
    bucket: str
    access_key_id: str
    secret_access_key: str
    region: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "S3Address":
        return cls(
            endpoint_url=env["S3_ENDPOINT_URL"],
            bucket=env.get("S3_BUCKET", "penstock"),
            access_key_id=env["AWS_ACCESS_KEY_ID"],
            secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            region=env.get("AWS_REGION", "us-east-1"),
        )

    @property
    def env(self) -> dict[str, str]:
        return {
            "S3_ENDPOINT_URL": self.endpoint_url,
            "S3_BUCKET": self.bucket,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SmbAddress:
    """A share and the one account that may use it."""

    host: str
    port: int
    server_name: str
    share: str
    username: str
    password: str
    client_name: str
    folder: Path | None
    """The share as the server sees it, where it runs on this machine."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "SmbAddress":
        folder = env.get("PENSTOCK_SHARE_PATH")
        return cls(
            host=env["NAS_SERVER_IP"],
            port=int(env.get("NAS_PORT", "445")),
            server_name=env["NAS_SERVER_NAME"],
            share=env["NAS_SHARE_NAME"],
            username=env["NAS_USERNAME"],
            password=env["NAS_PASSWORD"],
            client_name=env.get("CLIENT_MACHINE_NAME", "penstock"),
            folder=Path(folder) if folder else None,
        )

    @property
    def env(self) -> dict[str, str]:
        return {
            "NAS_SERVER_IP": self.host,
            "NAS_PORT": str(self.port),
            "NAS_SERVER_NAME": self.server_name,
            "NAS_SHARE_NAME": self.share,
            "NAS_BASE_PATH": "",
            "NAS_USERNAME": self.username,
            "NAS_PASSWORD": self.password,
            "CLIENT_MACHINE_NAME": self.client_name,
        }
