"""Named places where a test may kill this process, to prove that a crash there loses and doubles
nothing.

`PENSTOCK_FAILPOINT=relay.after_publish` kills it at the first passage, `relay.after_publish:3` at
the third. Unset, a failpoint costs one comparison.
"""

import os
import signal

_name, _, _count = os.environ.get("PENSTOCK_FAILPOINT", "").partition(":")  # noqa: TID251
_remaining = int(_count or 1)


async def reach(name: str) -> None:
    """Mark a place; kill the process if the environment asks for it here."""
    global _remaining  # noqa: PLW0603 - a process-wide countdown is the point
    if name != _name:
        return
    _remaining -= 1
    if _remaining <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
