"""The `scan` section of a source in `config/sources.yaml`."""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from chassis.errors import PenstockError
from chassis.shares.paths import validate_nas_path
from scanner.domain.files import is_within
from scanner.domain.guard import DeletionRules
from scanner.domain.sifting import DENIED_NAMES, SiftRules
from scanner.settings.environment import ScanSettings

_CONFIRM_SHARE = 0.9
"""Two scheduled scans are one interval apart, give or take how long each took to start."""


def _safe_path(path: str) -> str:
    try:
        return validate_nas_path(path)
    except PenstockError as error:
        raise ValueError(error.message) from error


SharePath = Annotated[str, AfterValidator(_safe_path)]
"""A folder or file below the source's root; the empty string is the root."""

Suffix = Annotated[str, StringConstraints(pattern=r"^\.[A-Za-z0-9.]+$")]
Seconds = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeletionConfig(_Section):
    """How much proof a deletion needs; see docs/decisions/0013."""

    max_deleted_count: Annotated[int, Field(ge=0)] = 50
    max_deleted_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Deletions above both are held until somebody releases them."""

    confirmations: Annotated[int, Field(ge=1, le=10)] = 2
    confirm_after_seconds: Annotated[float, Field(ge=0)] | None = None
    """By default just under one interval."""

    def rules(self, confirm_after_seconds: float, *, is_guarded: bool) -> DeletionRules:
        """Return the rules, with the time that `confirm_after_seconds` stands for."""
        return DeletionRules(
            is_guarded=is_guarded,
            max_count=self.max_deleted_count,
            max_share=self.max_deleted_share,
            confirmations=self.confirmations,
            confirm_after=timedelta(seconds=confirm_after_seconds),
        )


class LegacyExportConfig(_Section):
    """The queue files of the original Stage 2 (S1-22)."""

    refresh_output_path: SharePath
    path_prefix: SharePath = ""
    """Put before each `file_path`: leads from the share to the source's root."""


class LogsCopyConfig(_Section):
    """Copies of the logs on the share (S1-33); needs `PENSTOCK_LOG_DIRECTORY`."""

    output_logs_path: SharePath


class ScanConfig(_Section):
    """How one source is scanned."""

    paths: tuple[SharePath, ...] = ("",)
    """The folders that are mirrored; nothing outside them is ever looked at or judged."""

    suffixes: Annotated[tuple[Suffix, ...], Field(min_length=1)] = (".xml",)
    layout: tuple[str, ...] = ()
    """Names of the folder levels below a path, for people: `[year, quarter, type, company]`."""

    max_depth: Annotated[int, Field(ge=0, le=31)] = 8
    """Levels of folders below a path; deeper ones are reported and left out."""

    deny: tuple[str, ...] = ()
    """More glob patterns for names to pass over, beside the built-in ones."""

    takes_hidden: bool = False
    settle_seconds: Annotated[float, Field(ge=5, le=3600)] = 5.0
    """A state is announced when it was seen twice, so far apart by our own clock."""

    sentinel: SharePath | None = None
    """A file or folder that exists whenever the right volume is mounted."""

    expected_folders: tuple[SharePath, ...] = ()
    """Folders that always exist."""

    interval_seconds: Annotated[float, Field(ge=1)] = 60.0
    full_interval_seconds: Annotated[float, Field(ge=1)] = 3600.0
    """Only the full pass sees a file that was overwritten in place."""

    fast_pass: bool = True
    """Off where directory times cannot be relied on (FAT, some gateways)."""

    directory_quiet_seconds: Seconds = 2.0
    deletions: DeletionConfig = DeletionConfig()
    concurrency: Annotated[int, Field(ge=1, le=32)] | None = None
    """Listings at a time; by default one per connection."""

    institutions_file: str | None = None
    """A YAML file in the configuration folder with a section `monitored_institutions`."""

    nas_config: bool = False
    """Take what is left out here from the configuration on the NAS (`CONFIG_PATH`)."""

    legacy_export: LegacyExportConfig | None = None
    logs_copy: LogsCopyConfig | None = None

    @model_validator(mode="after")
    def _paths_are_disjoint(self) -> Self:
        for first, second in pairwise(sorted(self.paths)):
            if is_within(second, first):
                raise ValueError(f"`paths`: {second!r} lies inside {first!r}")
        return self

    @property
    def interval(self) -> timedelta:
        """Between two scheduled scans."""
        return timedelta(seconds=self.interval_seconds)

    @property
    def full_interval(self) -> timedelta:
        """Between two full passes."""
        return timedelta(seconds=self.full_interval_seconds)

    @property
    def settle(self) -> timedelta:
        """Between the two looks at a state that is announced."""
        return timedelta(seconds=self.settle_seconds)

    @property
    def quiet(self) -> timedelta:
        """Age from which a directory's time is relied on."""
        return timedelta(seconds=self.directory_quiet_seconds)

    def sift_rules(self) -> SiftRules:
        """Return the rules by which entries are sorted."""
        return SiftRules(
            suffixes=self.suffixes,
            denied=(*DENIED_NAMES, *self.deny),
            takes_hidden=self.takes_hidden,
            max_depth=self.max_depth,
        )

    def deletion_rules(self, *, is_guarded: bool) -> DeletionRules:
        """Return the proof that deletions need."""
        given = self.deletions.confirm_after_seconds
        seconds = self.interval_seconds * _CONFIRM_SHARE if given is None else given
        return self.deletions.rules(seconds, is_guarded=is_guarded)


def override(scan: ScanConfig, environment: ScanSettings) -> ScanConfig:
    """Return the section with what the environment says put first (E-03)."""
    update: dict[str, object] = {
        name: value
        for name in ("interval_seconds", "full_interval_seconds", "settle_seconds")
        if (value := getattr(environment, name)) is not None
    }
    if environment.confirm_after_seconds is not None:
        update["deletions"] = scan.deletions.model_copy(
            update={"confirm_after_seconds": environment.confirm_after_seconds}
        )
    return scan.model_copy(update=update)
