"""Where the demo finds the project, and the configuration it writes for its own hub."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.demo.scenario import DemoError

SOURCE = "transcripts"
INTERVAL_SECONDS = 1
SETTLE_SECONDS = 5
"""The least that the scanner accepts: a file that rests for less may still be written."""

HELD_ABOVE = 1
"""Deletions at a time; so low that the guard can be seen at work."""

_INSTITUTIONS = "monitored_institutions.yaml"


@dataclass(frozen=True, slots=True)
class Project:
    """A clone of the project."""

    root: Path

    @property
    def examples(self) -> Path:
        """The example transcripts, laid out as on a share."""
        return self.root / "examples" / "transcripts"

    @property
    def entities(self) -> Path:
        """The rules of the silver entities."""
        return self.root / "config" / "entities"

    def read_examples(self) -> dict[str, bytes]:
        """Return every example transcript by its path on the share."""
        return {
            path.relative_to(self.examples).as_posix(): path.read_bytes()
            for path in sorted(self.examples.rglob("*.xml"))
        }

    def institutions(self) -> list[str]:
        """Return the tickers of the monitored list."""
        document: dict[str, Any] = yaml.safe_load(
            (self.examples / _INSTITUTIONS).read_text("utf-8")
        )
        return list(document["monitored_institutions"])


def find_project(start: Path) -> Project:
    """Return the project in whose clone `start` lies, else the one this code was installed from.

    Raises:
        DemoError: neither has example transcripts.
    """
    for folder in (start, *start.parents, *Path(__file__).parents):
        project = Project(folder)
        if project.examples.is_dir() and project.entities.is_dir():
            return project
    raise DemoError(
        "The demo needs the examples/ and config/ of the project; run it in a clone of it."
    )


def write_config(project: Project, folder: Path, *, share_kind: str, share_root: str) -> None:
    """Write the configuration of the demo's hub: one source, short intervals, the real rules."""
    shutil.copytree(project.entities, folder / "entities", dirs_exist_ok=True)
    shutil.copyfile(project.examples / _INSTITUTIONS, folder / _INSTITUTIONS)
    sources = {
        "version": 1,
        "sources": [
            {
                "name": SOURCE,
                "share": {"kind": share_kind, "root": share_root},
                "scan": {
                    "interval_seconds": INTERVAL_SECONDS,
                    # Every scan is a full one: nobody waits an hour for an overwritten file here.
                    "fast_pass": False,
                    "settle_seconds": SETTLE_SECONDS,
                    "institutions_file": _INSTITUTIONS,
                    "deletions": {
                        "max_deleted_count": HELD_ABOVE,
                        "max_deleted_share": 0.0,
                        "confirm_after_seconds": INTERVAL_SECONDS,
                    },
                },
                "ingest": {"entity_type": "transcript", "parser": "transcript_xml"},
            }
        ],
    }
    (folder / "sources.yaml").write_text(yaml.safe_dump(sources, sort_keys=False), "utf-8")
