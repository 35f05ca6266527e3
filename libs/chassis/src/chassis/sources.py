"""`config/sources.yaml`: the one list of sources.

Each service validates its own section of an entry:

    version: 1
    include: [presets/tdx.yaml]                   # more files of this form, below the same folder
    sources:
      - name: transcripts
        share: {kind: smb, root: "Outputs"}      # here: which share, and where on it
        scan: {...}                               # the scanner's section
        ingest: {...}                             # the ingestor's section
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory
from contracts.types import Name

Model = TypeVar("Model", bound=BaseModel)


class ConfigError(PermanentError):
    """A configuration file cannot be used."""

    default_category = ErrorCategory.CONFIG_VALIDATION


class ShareConfig(BaseModel):
    """Which share a file source reads, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["smb", "local"]
    root: str = ""
    """Below `NAS_BASE_PATH` for smb; the folder itself for local."""

    backend: Literal["auto", "pysmb", "smbprotocol"] = "auto"
    """`auto` takes pysmb and falls back to smbprotocol where the server demands more."""

    connections: Annotated[int, Field(ge=1, le=32)] = 8
    """More than 8 brought nothing in measurements; each is a process on the server."""

    timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    verify_signatures: bool = False
    """Demand a signed session; without one, replies can be tampered with on their way."""

    require_encryption: bool = False


class SourceConfig(BaseModel):
    """One entry of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    system: Name | None = None
    """What bronze calls the source system; by default the entry's name. Entries of one system share
    it."""

    share: ShareConfig | None = None
    """Of a file source."""

    records: dict[str, Any] | None = None
    """Of a record source: how it is reached; `kind` says which adapter validates the rest."""

    scan: dict[str, Any] = {}
    ingest: dict[str, Any] = {}

    @property
    def source_system(self) -> str:
        """The name under which bronze keeps what this source tells."""
        return self.system or self.name

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.share is not None and self.records is not None:
            raise ValueError("a source has `share` or `records`, not both")
        return self


IncludedFile = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*\.yaml$")
]
"""A file below the configuration folder; no way leads out of it."""


class SourcesConfig(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    include: tuple[IncludedFile, ...] = ()
    """Files of the same form whose sources are added; they include no others."""

    sources: tuple[SourceConfig, ...]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = Counter(source.name for source in self.sources)
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise ValueError(f"these names stand twice: {', '.join(twice)}")
        return self


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML silently keeps the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    for key, count in Counter(keys).items():
        if count > 1 and key != "<<":
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands twice", node.start_mark
            )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_sources(directory: Path) -> SourcesConfig:
    """Read and validate `sources.yaml`, and what it includes.

    Raises:
        ConfigError: it cannot be read, is not YAML, or breaks the structure; names each problem.
    """
    config = parse_model(SourcesConfig, directory / "sources.yaml")
    if not config.include:
        return config
    parts = [parse_model(SourcesConfig, directory / name) for name in config.include]
    if any(part.include for part in parts):
        raise ConfigError("`sources.yaml`: an included file includes others")
    every = [source for part in (config, *parts) for source in part.sources]
    # Once more, so that names are unique over all files.
    document = {"version": 1, "sources": [source.model_dump() for source in every]}
    return validate(SourcesConfig, document, name="sources.yaml")


def parse_model(model: type[Model], path: Path) -> Model:
    """Read a YAML file into a model.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or breaks the model.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"`{path.name}` cannot be read: {error}", category=ErrorCategory.CONFIG_LOAD
        ) from error
    return parse_yaml(model, text, name=path.name)


def parse_yaml(model: type[Model], text: str, *, name: str) -> Model:
    """Validate YAML text against a model; `name` is what error messages call it.

    Raises:
        ConfigError: the text is not YAML, or breaks the model.
    """
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 - a safe loader, see below
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(
            f"`{name}` is not valid YAML: {error}", category=ErrorCategory.CONFIG_PARSE
        ) from error
    return validate(model, document, name=name)


def validate(model: type[Model], document: object, *, name: str) -> Model:
    """Validate a parsed document against a model.

    Raises:
        ConfigError: names every field that is wrong.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'document'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError(f"`{name}`: " + "; ".join(problems), problems=problems) from error
