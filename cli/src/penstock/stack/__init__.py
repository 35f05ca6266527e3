"""Real servers as supervised child processes: Kafka, PostgreSQL, S3 and SMB without Docker.

with start_stack(["kafka", "postgres"], state_dir=folder, fast=True) as stack:
    connect(stack.env["DATABASE_URL"])
"""

from penstock.stack.client import RunningStack, Stack, start_stack
from penstock.stack.errors import StackError
from penstock.stack.model import ALL_PARTS, PartName, PartState, PartStatus, StackState
from penstock.stack.settings import StackSettings, read_settings

__all__ = [
    "ALL_PARTS",
    "PartName",
    "PartState",
    "PartStatus",
    "RunningStack",
    "Stack",
    "StackError",
    "StackSettings",
    "StackState",
    "read_settings",
    "start_stack",
]
