"""What the transformer reads from its environment."""

from pydantic import BaseModel, ConfigDict

from chassis.settings import DatabaseSettings, KafkaSettings, ProcessSettings, SettingsPart, env


class TransformerPart(SettingsPart):
    """The transformer's own variables."""

    chunk_entities: int = env("TRANSFORMER_CHUNK_ENTITIES", 5000, ge=1, le=20000)
    """Entities merged at a time, at the most."""

    chunk_bytes: int = env("TRANSFORMER_CHUNK_BYTES", 8 * 1024 * 1024, ge=1)
    """Bytes of documents merged at a time; a merge takes about twelve times as much memory.

    One such chunk is merged while another is written. A document that is larger goes alone.
    """

    page_entities: int = env("TRANSFORMER_PAGE_ENTITIES", 5000, ge=1, le=20000)
    """Entities per transaction of a `transform` run."""

    shadow_hours: float = env("TRANSFORMER_SHADOW_HOURS", 168.0, gt=0)
    """How long a shadow waits to be promoted or discarded; then it is forgotten."""

    merge_workers: int = env("TRANSFORMER_MERGE_WORKERS", 1, ge=1, le=16)
    """Merges at a time in this process."""

    polars_threads: int = env("TRANSFORMER_POLARS_THREADS", 2, ge=1, le=64)
    """Cores that polars takes; its own default is every core of the node, not of the pod."""


class TransformerSettings(BaseModel):
    """Everything the service is told at start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings
    database: DatabaseSettings
    process: ProcessSettings
    transformer: TransformerPart


class TablesSettings(BaseModel):
    """What making the silver tables needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: DatabaseSettings
    process: ProcessSettings
    transformer: TransformerPart
