"""One run of the hub on all real transcripts, told in chapters; tests judge what it left behind.

A chapter's state is recorded once nothing is on its way any more, so that tests may be run in any
order and each says one thing.
"""

import asyncio
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.stack import RunningStack
from tests.e2e.calls import Corpus, Transcript, read_corpus
from tests.e2e.hub import SOURCE, Hub, Snapshot, running_hub
from tests.support.command_line import executed
from tests.support.paths import shared_data

NASTY_FOLDER = "Data/2024/Q1/Nasty/NASTY-US_Nasty_Files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens to which file in the second chapter."""

    edited: Mapping[str, bytes]
    touched: Mapping[str, bytes]
    truncated: Mapping[str, bytes]
    nasty: Mapping[str, bytes]
    sole: tuple[str, ...]
    """Removed; each was the only document of its call."""

    better: str
    """Removed; a Raw document of the same call stays."""

    both: tuple[str, str]
    """Removed; the two documents of one call."""

    @property
    def removed(self) -> tuple[str, ...]:
        return (*self.sole, self.better, *self.both)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was done, and what came of it."""

    corpus: Corpus
    plan: Plan
    laid: Snapshot
    """All transcripts were laid on an empty share."""

    scan: "subprocess.CompletedProcess[str]"
    """Then somebody asked for a scan on the command line."""

    command: dict[str, Any]
    """What the hub recorded of that."""

    refused_scan: "subprocess.CompletedProcess[str]"
    """And for one of a source that nobody configured."""

    changed: Snapshot
    """Then files were edited, touched, truncated, removed, and nasty ones were added."""

    restored: Snapshot
    """Then everything was put back as it had been."""

    pids: dict[str, int]
    exit_codes: dict[str, int]
    """After SIGTERM."""

    errors: list[dict[str, Any]]
    """Every log line of level error or worse."""


async def tell(stack: RunningStack) -> Story:
    corpus = read_corpus(shared_data("transcripts"))
    plan = make_plan(corpus)
    originals = {path: item.data for path, item in corpus.transcripts.items()}
    share = Path(stack.env["PENSTOCK_SHARE_PATH"])
    for folder in ("Data", "InvalidTitle"):
        (share / folder).mkdir()
    async with running_hub(stack, corpus.institutions) as hub:
        hub.put(originals)
        laid = await _when_quiet(hub)
        scan = await asyncio.to_thread(_scan, SOURCE, stack.stack.settings.state_dir)
        command = await hub.last_command()
        refused_scan = await asyncio.to_thread(_scan, "nosuch", stack.stack.settings.state_dir)

        hub.put({**plan.edited, **plan.touched, **plan.truncated, **plan.nasty})
        hub.remove(*plan.removed)
        changed = await _when_quiet(hub)

        hub.put({path: originals[path] for path in (*plan.edited, *plan.truncated, *plan.removed)})
        hub.remove(*plan.nasty)
        restored = await _when_quiet(hub)

        running = hub.services.running
        return Story(
            corpus=corpus,
            plan=plan,
            laid=laid,
            scan=scan,
            command=command,
            refused_scan=refused_scan,
            changed=changed,
            restored=restored,
            pids={name: service.pid for name, service in running.items()},
            exit_codes=await hub.services.stop(),
            errors=[line for item in running.values() for line in item.events("error", "critical")],
        )


def make_plan(corpus: Corpus) -> Plan:
    """Choose files by what they are; the same ones every time."""
    calls: dict[str, list[Transcript]] = {}
    for path in sorted(corpus.transcripts):
        transcript = corpus.transcripts[path]
        calls.setdefault(transcript.call, []).append(transcript)
    alone = [group[0].path for group in calls.values() if len(group) == 1]
    pairs = [group for group in calls.values() if len(group) == 2]
    data = {path: corpus.transcripts[path].data for path in alone}
    better = next(item.path for item in pairs[0] if item.kind == "Corrected")
    nasty = sorted(shared_data("nasty", "defusedxml").glob("*.xml"))
    return Plan(
        edited={path: _edit(data[path]) for path in alone[:3]},
        touched={alone[3]: data[alone[3]]},
        truncated={alone[4]: data[alone[4]][: len(data[alone[4]]) // 2]},
        nasty={f"{NASTY_FOLDER}/{file.name}": file.read_bytes() for file in nasty}
        | {f"{NASTY_FOLDER}/empty.xml": b""},
        sole=(alone[5], alone[6]),
        better=better,
        both=(pairs[1][0].path, pairs[1][1].path),
    )


def _edit(data: bytes) -> bytes:
    edited = data.replace(b"<p>", b"<p>As I said before: ", 1)
    assert edited != data
    return edited


async def _when_quiet(hub: Hub) -> Snapshot:
    await hub.until_quiet()
    return await hub.snapshot()


def _scan(source: str, state_dir: Path) -> "subprocess.CompletedProcess[str]":
    return executed(
        *("scan", source, "--mode", "full", "--wait", "--reason", "asked by a test"),
        state_dir=state_dir,
    )
