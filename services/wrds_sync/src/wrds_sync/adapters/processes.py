"""What this machine says about a process id.

A number alone proves little: containers all have a process 1, and numbers are used again. The mark
adds the boot, the PID namespace and the process's start.
"""

import os
from pathlib import Path

_PROC = Path("/proc")
_START_FIELD = 19
"""Of `/proc/<pid>/stat`, counted after the command's closing bracket."""


def is_pid_alive(pid: int) -> bool:
    """Return whether the process exists; asked with signal 0, which disturbs nobody."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's, and alive
    except OverflowError:
        return False
    return True


def namespace_mark() -> str | None:
    """Return what tells this boot and PID namespace apart; None where the system does not say."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return None
    return f"{boot}/{namespace}"


def process_mark(pid: int) -> str | None:
    """Return what tells this process from others of its number; None where it is not known."""
    namespace = namespace_mark()
    if namespace is None:
        return None
    try:
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return f"{namespace}/{fields[_START_FIELD]}"
