"""Settings: read once from the environment, `.env` and mounted secret files; every problem
reported at once.

Sources, strongest first: environment variables, files named like the variable in the secrets
folder (`PENSTOCK_SECRETS_DIR`), `.env` in the working folder, defaults. An empty value counts as
none. Values are never printed: a problem names the variable only.
"""

import difflib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar, get_args

from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr, ValidationError

from chassis.errors import SettingsError
from chassis.setting_parts import (
    SENSITIVE,
    BlobSettings,
    DatabaseSettings,
    KafkaSettings,
    NasSettings,
    ProcessSettings,
    SettingsPart,
    env,
    is_readable_by_all,
)

__all__ = [
    "SENSITIVE",
    "BlobSettings",
    "DatabaseSettings",
    "KafkaSettings",
    "NasSettings",
    "ProcessSettings",
    "SettingsPart",
    "env",
    "load_settings",
    "read_named",
    "secret_files",
    "secret_values",
]

SECRETS_DIR_VARIABLE = "PENSTOCK_SECRETS_DIR"
DEFAULT_SECRETS_DIR = "/run/secrets/penstock"

# Kubernetes injects these for a Service called `kafka` or `nas`; they are not ours. A name that
# merely ends in `_PORT` is one only with such an address, or else a typo would pass for it.
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


PARTS: tuple[type[SettingsPart], ...] = (
    KafkaSettings,
    DatabaseSettings,
    BlobSettings,
    NasSettings,
    ProcessSettings,
)
"""Every part of the chassis: one `.env` may serve all services, so each knows all names."""

LEGACY_NAMES = frozenset(
    {
        "API_USERNAME",
        "API_PASSWORD",
        "PROXY_USER",
        "PROXY_PASSWORD",
        "PROXY_URL",
        "PROXY_DOMAIN",
        "CONFIG_PATH",
        SECRETS_DIR_VARIABLE,
        "PENSTOCK_STATE_DIR",
        "PENSTOCK_CACHE_DIR",
        "PENSTOCK_URL",
        "PENSTOCK_TOKEN",
        "PENSTOCK_TEST_SERVERS",
        "PENSTOCK_TEST_MSSQL",
        "PENSTOCK_SHARE_KIND",
        "PENSTOCK_SHARE_PATH",
        "PENSTOCK_FAILPOINT",
    }
)
"""Names that other programs of the project read."""

_SHARED_PREFIXES = frozenset(
    {"AWS_", "BATCH_", "CLIENT_", "API_", "PROXY_", "CONFIG_", "MAX_", "OTEL_", "OPENLINEAGE_"}
)
"""Prefixes of ours that other software uses as well: an unknown name proves nothing."""

Settings = TypeVar("Settings", bound=BaseModel)


def load_settings(
    settings: type[Settings], *, environment: Mapping[str, str] | None = None
) -> Settings:
    """Build a service's settings: a frozen model whose fields are `SettingsPart`s.

    Raises:
        SettingsError: names every variable that is missing, mistyped or out of range, and no value.
    """
    environment = dict(os.environ) if environment is None else environment  # noqa: TID251
    composition = _parts_of(settings)
    known = LEGACY_NAMES.union(
        *(_names(part) for part in (*PARTS, *(part for part, _ in composition.values())))
    )
    problems: list[str] = []
    values = _read_sources(environment, known, problems)
    parts: dict[str, SettingsPart | None] = {}
    for name, (part, optional) in composition.items():
        found = {key: values[key] for key in _names(part) if key in values}
        if optional and not found:
            parts[name] = None
            continue
        try:
            parts[name] = part.model_validate(found)
        except ValidationError as error:
            problems.extend(_describe(error, part))
    problems.extend(_unknown_names(values, known))
    if not problems:
        try:
            return settings.model_validate(parts)
        except ValidationError as error:
            problems.extend(_describe(error, settings))
    # Outside of any `except`: the errors that were caught could tell values.
    names = sorted(set(problems))
    raise SettingsError("settings: " + "; ".join(names), problems=names)


def read_named(
    names: Collection[str], *, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the values of variables that a configuration file refers to, as far as they are set.

    They come from where settings come from; `<NAME>_FILE` may also name the file of one.

    Raises:
        SettingsError: a file of theirs cannot be read, or everybody may read it.
    """
    environment = dict(os.environ) if environment is None else environment  # noqa: TID251
    problems: list[str] = []
    found = _read_sources(environment, frozenset(names), problems)
    for name in set(names) - found.keys():
        if path := environment.get(f"{name}_FILE"):
            found[name] = _read_secret(Path(path), problems)
    if problems:
        raise SettingsError("settings: " + "; ".join(problems), problems=problems)
    return {name: found[name] for name in names if found.get(name)}


def secret_files(*, environment: Mapping[str, str] | None = None) -> list[Path]:
    """Return the files in the secrets folder."""
    environment = dict(os.environ) if environment is None else environment  # noqa: TID251
    directory = _secrets_directory(environment)
    # Kubernetes mounts links to files in a hidden folder.
    return (
        [file for file in sorted(directory.iterdir()) if file.name[0] != "." and file.is_file()]
        if directory.is_dir()
        else []
    )


def secret_values(settings: BaseModel) -> Iterator[str]:
    """Yield what must be kept out of logs and errors: secrets, and fields marked `SENSITIVE`."""
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from secret_values(value)
        elif info.json_schema_extra == SENSITIVE and not _is_loopback(value):
            yield str(value)


def _is_loopback(value: object) -> bool:
    # Every machine has it: blanking it out would hide nothing and make local logs useless.
    return str(value).startswith("127.") or value in ("localhost", "::1")


def _parts_of(settings: type[BaseModel]) -> dict[str, tuple[type[SettingsPart], bool]]:
    parts: dict[str, tuple[type[SettingsPart], bool]] = {}
    for name, info in settings.model_fields.items():
        choices = (info.annotation, *get_args(info.annotation))
        part = next(
            item for item in choices if isinstance(item, type) and issubclass(item, SettingsPart)
        )
        parts[name] = (part, type(None) in choices)
    return parts


def _names(part: type[SettingsPart]) -> set[str]:
    return {info.alias for info in part.model_fields.values() if info.alias}


def _read_sources(
    environment: Mapping[str, str], known: frozenset[str], problems: list[str]
) -> dict[str, str]:
    values: dict[str, str] = {}
    for source in (
        _read_dotenv(problems),
        _read_secret_files(environment, known, problems),
        environment,
    ):
        values |= {
            name: value
            for name, value in source.items()
            # `FOO=` in a manifest means "no value", and must not hide a weaker source's.
            if value != "" and not _is_service_link(name, value)
        }
    return values


def _read_dotenv(problems: list[str]) -> dict[str, str]:
    try:
        # A value is what is written: a password may well contain `${`.
        found = dotenv_values(".env", interpolate=False)
    except (OSError, UnicodeDecodeError):
        problems.append("`.env` cannot be read as UTF-8 text")
        return {}
    return {name: value for name, value in found.items() if value is not None}


def _read_secret_files(
    environment: Mapping[str, str], known: frozenset[str], problems: list[str]
) -> dict[str, str]:
    if environment.get(SECRETS_DIR_VARIABLE) and not _secrets_directory(environment).is_dir():
        problems.append(f"`{SECRETS_DIR_VARIABLE}` is not a folder")
    return {
        # What is not ours is not opened; its name alone may be a typo.
        file.name: _read_secret(file, problems) if file.name in known else file.name
        for file in secret_files(environment=environment)
    }


def _secrets_directory(environment: Mapping[str, str]) -> Path:
    return Path(environment.get(SECRETS_DIR_VARIABLE) or DEFAULT_SECRETS_DIR)


def _read_secret(file: Path, problems: list[str]) -> str:
    try:
        if is_readable_by_all(file):
            problems.append(
                f"`{file.name}`: everybody may read its file; set the mode to 0440 or 0400"
            )
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        problems.append(f"`{file.name}`: its file cannot be read as UTF-8 text")
        return ""


def _is_service_link(name: str, value: str) -> bool:
    if _SERVICE_LINK.search(name):
        return True
    return name.endswith("_PORT") and _SERVICE_ADDRESS.match(value) is not None


def _describe(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        text = "is missing" if item["type"] == "missing" else item["msg"]
        if not item["loc"]:
            yield text
            continue
        # A default that fails its own check is located by the field's name, all else by the alias.
        place = str(item["loc"][0])
        field = model.model_fields.get(place)
        yield f"`{(field and field.alias) or place}` {text}"


def _unknown_names(names: Iterable[str], known: frozenset[str]) -> Iterator[str]:
    prefixes = {name.split("_", 1)[0] + "_" for name in known} - _SHARED_PREFIXES
    for name in names:
        if name in known or not name.startswith(tuple(prefixes)):
            continue
        guess = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        suggestion = f" (did you mean `{guess[0]}`?)" if guess else ""
        yield f"`{name}` is not a setting{suggestion}"
