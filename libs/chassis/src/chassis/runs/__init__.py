"""Runs: every longer piece of work, recorded before it starts and resumable after a crash."""

from chassis.runs.context import RunCancelledError, RunContext
from chassis.runs.ledger import Run, submit
from chassis.runs.worker import Job, RunWorker

__all__ = ["Job", "Run", "RunCancelledError", "RunContext", "RunWorker", "submit"]
