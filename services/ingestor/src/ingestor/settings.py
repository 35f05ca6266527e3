"""The ingestor's settings, and its section of `config/sources.yaml`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chassis.http.config import HttpConfig
from chassis.settings import (
    BlobSettings,
    DatabaseSettings,
    KafkaSettings,
    NasSettings,
    ProcessSettings,
    SettingsPart,
    env,
)
from chassis.sources import SourceConfig, SourcesConfig, validate
from contracts.types import Name
from ingestor.domain.parsers import PARSERS
from ingestor.domain.shapes import KINDS

MEBIBYTE = 1024 * 1024
_KIND = "|".join(sorted(KINDS))


class IngestSettings(SettingsPart):
    """How much is done at a time."""

    fetch_concurrency: int = env("INGESTOR_FETCH_CONCURRENCY", 16, ge=1, le=256)
    """Files on their way at once; a share's `connections` bounds the reading itself."""

    memory_bytes: int = env("INGESTOR_MEMORY_BYTES", 128 * MEBIBYTE, ge=MEBIBYTE)
    """For files in flight; a file that needs more waits until it is alone."""

    scratch_memory_bytes: int = env("INGESTOR_SCRATCH_MEMORY_BYTES", 32 * MEBIBYTE, ge=0)
    """For a batch's finished documents; beyond it they wait for their transaction on disk."""

    parser_threads: int = env("INGESTOR_PARSER_THREADS", 2, ge=1, le=32)
    read_attempts: int = env("INGESTOR_READ_ATTEMPTS", 3, ge=1)
    """How often a file that changes or is held by a writer is taken again at once."""

    batch_attempts: int = env("INGESTOR_BATCH_ATTEMPTS", 8, ge=1)
    """After so many attempts of the batch, about a minute, such a file is a dead letter."""


class IngestorSettings(BaseModel):
    """Everything the process reads from its environment."""

    model_config = ConfigDict(frozen=True)

    kafka: KafkaSettings
    database: DatabaseSettings
    blobs: BlobSettings
    nas: NasSettings | None
    process: ProcessSettings
    ingest: IngestSettings


Kinds = Annotated[str, Field(pattern=rf"^({_KIND})(\|({_KIND}))*$")]
"""What a field may hold: `string`, `integer|string`."""


class FileSchema(BaseModel):
    """The `schema` section of a file source: what no file may lack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: tuple[str, ...] = ()
    """Elements, or `element@attribute`."""


class RecordSchema(BaseModel):
    """The `schema` section of a record source; what it does not declare is learnt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: tuple[str, ...] = ()
    """Fields that no record may lack; `a.b` lies in `a`. A null is not a lack."""

    fields: dict[str, Kinds] = {}


class IngestSection(BaseModel):
    """The `ingest` section of a source: what its files are."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    entity_type: Name
    parser: str
    """One of the names in `ingestor.domain.parsers`."""

    max_bytes: Annotated[int, Field(ge=1, le=200 * MEBIBYTE)] = 50 * MEBIBYTE
    """A larger file is a dead letter; a call has about 0.1 MiB."""

    declared: FileSchema = Field(default=FileSchema(), alias="schema")

    @field_validator("parser")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in PARSERS:
            raise ValueError(f"there is no parser {value!r}, only: {', '.join(sorted(PARSERS))}")
        return value


class EnrichSection(BaseModel):
    """The call that gives the full form of a record which a list tells in part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, Field(pattern=r"^/[^?#\s]*\{id\}[^?#\s]*$", max_length=1000)]
    """Below the source's base address; `{id}` stands for the record's id."""

    record_path: Annotated[str, Field(pattern=r"^(\w+(\.\w+)*)?$", max_length=200)] = ""
    """Where in the answer the record is; empty: the answer is the record."""

    concurrency: Annotated[int, Field(ge=1, le=100)] = 4
    """Calls at a time; the source's budget bounds all replicas together."""


class _RecordIngest(BaseModel):
    """The `ingest` section of a record source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity_type: Name | None = None
    enrich: EnrichSection | None = None
    declared: RecordSchema = Field(default=RecordSchema(), alias="schema")


class _Reachable(BaseModel):
    """The part of an API's `records` section that says how it is reached."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["http"]
    api: HttpConfig


@dataclass(frozen=True, slots=True)
class RecordSection:
    """How the records of one source enter bronze."""

    source_system: str
    enrich: EnrichSection | None = None
    api: HttpConfig | None = None
    """There where `enrich` is."""

    declared: RecordSchema = field(default_factory=RecordSchema)


def read_record_sections(sources: SourcesConfig) -> dict[str, RecordSection]:
    """Return what is known of the record sources, by source.

    Raises:
        ConfigError: a section is wrong; names source and field.
    """
    return {
        source.name: _record_section(source)
        for source in sources.sources
        if source.records is not None
    }


def _record_section(source: SourceConfig) -> RecordSection:
    ingest = validate(_RecordIngest, source.ingest, name=f"{source.name}: ingest")
    if ingest.enrich is None:
        return RecordSection(source.source_system, declared=ingest.declared)
    reachable = validate(_Reachable, source.records, name=f"{source.name}: records (for enrich)")
    return RecordSection(source.source_system, ingest.enrich, reachable.api, ingest.declared)


def read_sections(sources: SourcesConfig) -> dict[str, IngestSection]:
    """Return the `ingest` sections by source; sources without one are not the ingestor's.

    Raises:
        ConfigError: a section is wrong; names source and field.
    """
    return {
        source.name: validate(IngestSection, source.ingest, name=f"{source.name}: ingest")
        for source in sources.sources
        if source.ingest and source.share
    }
