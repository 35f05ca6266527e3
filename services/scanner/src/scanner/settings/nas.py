"""The configuration file that lies on the NAS itself (S1-05 … S1-09).

Other stages keep their sections in the same file, so unknown ones are passed over; what is ours is
checked entirely.
"""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from scanner.domain.institutions import InstitutionDirectory, MonitoredInstitution
from scanner.settings.scan import LegacyExportConfig, LogsCopyConfig, ScanConfig, SharePath

Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]
NasPath = Annotated[SharePath, Field(min_length=1)]
Ticker = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9.]{1,20}(-[A-Z]{2})?$")]

_SAFE_NAME = re.compile(r"[^/\\:*?\"<>|\x00-\x1f]+")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Endpoints(_Section):
    """Paths of the API that other stages call."""

    transcripts: Annotated[str, StringConstraints(pattern=r"^/[\w/-]+$")]


class ApiSettings(_Section):
    """Where that API is."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https://[\w.-]+(:\d+)?(/[\w./-]*)?$")]
    endpoints: Endpoints


class DatabaseSyncStage(_Section):
    """The section `stage_02_database_sync`."""

    description: Text
    input_data_path: NasPath
    output_logs_path: NasPath
    master_database_path: NasPath
    refresh_output_path: NasPath


class Institution(_Section):
    """One monitored institution."""

    name: Text
    type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    path_safe_name: Text


class Institutions(_Section):
    """The section `monitored_institutions`, in whichever file it stands."""

    monitored_institutions: Annotated[dict[Ticker, Institution], Field(min_length=1)]

    @model_validator(mode="after")
    def _folders_are_usable_and_unique(self) -> Self:
        owners: dict[str, str] = {}
        for ticker, institution in self.monitored_institutions.items():
            folder = institution.path_safe_name
            if not _SAFE_NAME.fullmatch(folder) or folder.strip(". ") != folder:
                raise ValueError(f"`{ticker}`: path_safe_name {folder!a} is no folder name")
            other = owners.setdefault(folder.casefold(), ticker)
            if other != ticker:
                raise ValueError(f"`{ticker}` and `{other}` have the same path_safe_name")
        return self

    def directory(self) -> InstitutionDirectory:
        """Return what finds the institution of a path."""
        return InstitutionDirectory(
            MonitoredInstitution(ticker, item.name, item.type, item.path_safe_name)
            for ticker, item in self.monitored_institutions.items()
        )


class NasConfig(Institutions):
    """The whole file, as far as it concerns the scanner."""

    ssl_cert_path: NasPath
    api_settings: ApiSettings
    stage_02_database_sync: DatabaseSyncStage


def relative_to(path: str, *parents: str) -> str | None:
    """Return `path` below each of `parents` in turn; None if it lies elsewhere.

    The original file spells paths from the share, others from `NAS_BASE_PATH`: a base that the path
    does not begin with is taken as left out.
    """
    base, root = parents
    if base and (path == base or path.startswith(base + "/")):
        path = path[len(base) + 1 :]
    if not root:
        return path
    if path == root:
        return ""
    return path[len(root) + 1 :] if path.startswith(root + "/") else None


def layer(scan: ScanConfig, nas: NasConfig, *, base: str, root: str) -> ScanConfig:
    """Fill what the source's section leaves out from the file on the NAS (E-03).

    Args:
        scan: The section as the configuration file has it; it wins.
        nas: The file on the NAS.
        base: `NAS_BASE_PATH`.
        root: The source's root below it; paths of a source are relative to that.

    Raises:
        ValueError: a path of the file lies outside the source's root.
    """
    stage = nas.stage_02_database_sync
    given = scan.model_fields_set
    update: dict[str, object] = {}

    def located(name: str) -> str:
        found = relative_to(getattr(stage, name), base, root)
        if found is None:
            raise ValueError(f"`stage_02_database_sync.{name}` lies outside the root {root!r}")
        return found

    if "paths" not in given:
        update["paths"] = (located("input_data_path"),)
    if "legacy_export" not in given:
        update["legacy_export"] = LegacyExportConfig(
            refresh_output_path=located("refresh_output_path"),
            path_prefix="/".join(part for part in (base, root) if part),
        )
    if "logs_copy" not in given:
        update["logs_copy"] = LogsCopyConfig(output_logs_path=located("output_logs_path"))
    return scan.model_copy(update=update)
