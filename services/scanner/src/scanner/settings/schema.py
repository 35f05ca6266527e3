"""The JSON Schema of `config/sources.yaml`, for editors; `make docs` writes it.

An editor that knows it completes the names of fields, shows what they mean, and marks what the
service would refuse.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chassis.sources import ShareConfig, SourcesConfig
from contracts.types import Name
from scanner.settings.records import RecordScanConfig, RecordsConfig
from scanner.settings.scan import ScanConfig


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    system: Name | None = Field(
        default=None, description="What bronze calls the source system; by default `name`."
    )
    ingest: dict[str, Any] = Field(default={}, description="The ingestor's section.")


class FileSourceEntry(_Entry):
    """Files on a share."""

    share: ShareConfig
    scan: ScanConfig = ScanConfig()


class RecordSourceEntry(_Entry):
    """Records of an API, a directory, a database or a list."""

    records: RecordsConfig
    scan: RecordScanConfig


class SourcesFile(BaseModel):
    """The sources of Penstock."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    include: tuple[str, ...] = Field(
        default=(), description=SourcesConfig.model_fields["include"].description
    )
    sources: tuple[FileSourceEntry | RecordSourceEntry, ...]


def sources_schema() -> dict[str, Any]:
    """Return the schema of the whole file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "sources.schema.json",
    } | SourcesFile.model_json_schema(mode="validation")
