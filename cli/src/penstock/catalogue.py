"""The commands by name: enough for `penstock --help`, so that one command loads one module.

Every command would else wait for the clients of all the others, half a second of computing.
"""

from dataclasses import dataclass

_STACK = "Local stack"
_SET_UP = "Set up"
_TO_THE_HUB = "Commands to the hub"
_LOOKING = "Looking at the hub"
_ACCESS = "Who may do what"


@dataclass(frozen=True, slots=True)
class Entry:
    """What `--help` tells of a command."""

    module: str
    """Below `penstock.commands`; its `register` adds the command."""

    panel: str | None
    help: str
    """The first paragraph of the command's own help; a test compares."""


CATALOGUE = {
    "up": Entry(
        "stack", _STACK, "Start Kafka, PostgreSQL, S3 and Samba as processes of this machine."
    ),
    "down": Entry("stack", _STACK, "Stop the stack; its data stays in the state folder."),
    "status": Entry(
        "stack",
        _STACK,
        "Show every part; the exit code is 0 only when all of them can be used.",
    ),
    "env": Entry(
        "stack", _STACK, "Print export lines with which any client reaches the running parts."
    ),
    "logs": Entry("stack", _STACK, "Show what the servers wrote."),
    "demo": Entry("demo", _SET_UP, "Run the whole hub and show what becomes of real transcripts."),
    "migrate": Entry(
        "migrate",
        _SET_UP,
        "Apply the SQL migrations, and make the silver tables, that the database still lacks.",
    ),
    "run": Entry("run", _SET_UP, "Run the services until Ctrl-C, each as a process of its own."),
    "scan": Entry("scan", _TO_THE_HUB, "Ask the scanner to look for changes at a source now."),
    "explain": Entry("explain", _LOOKING, "Show where each value of a silver record comes from."),
    "simulate": Entry(
        "simulate",
        _LOOKING,
        "Show how many records another order of sources would change, and which; "
        "nothing is written.",
    ),
    "flow": Entry(
        "flow",
        _TO_THE_HUB,
        "Run the scans of a flow one after the other; one that fails does not stop the next.",
    ),
    "runs": Entry("runs", _LOOKING, "Show runs that have ended; without an option the last ten."),
    "lineage": Entry(
        "lineage", _LOOKING, "Export runs as OpenLineage events, from where the last export ended."
    ),
    "replay": Entry(
        "dlq", _TO_THE_HUB, "Send open dead letters back to the consumer that rejected them."
    ),
    "doctor": Entry(
        "doctor",
        None,
        "Check everything Penstock needs and say what to do about what is missing.",
    ),
    "topics": Entry("topics", _SET_UP, "Create and inspect the topics that the contracts declare."),
    "transform": Entry(
        "transform",
        _TO_THE_HUB,
        "Have silver recomputed, tried beside what readers see, or told what that would do.",
    ),
    "refresh": Entry(
        "refresh",
        _TO_THE_HUB,
        "Copy tables from production to UAT: planned, masked, verified, undoable.",
    ),
    "dlq": Entry(
        "dlq",
        _LOOKING,
        "Dead letters: what services have rejected. Look at it, send it back, or discard it.",
    ),
    "drift": Entry(
        "drift", _LOOKING, "Changed schemas of sources. Look at them, accept or reject them."
    ),
    "sources": Entry(
        "sources", _LOOKING, "Sources: when each was looked at, what that brought, what waits."
    ),
    "wrds": Entry(
        "wrds", _TO_THE_HUB, "The mirror of WRDS: sync, status, verification, locks, vintages."
    ),
    "users": Entry("users", _ACCESS, "Who may log on to the console; for administrators."),
    "tokens": Entry("tokens", _ACCESS, "Tokens for the console's API; for administrators."),
}
