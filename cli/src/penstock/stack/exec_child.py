"""Become a server that cannot outlive its supervisor, then never run Python again.

Run as a script: `python exec_child.py PARENT SIGNAL USER DATA_DIR PROGRAM ARGUMENT...`. It gives up
root for USER (`-` keeps the present one), asks the kernel to be sent SIGNAL when the parent process
dies (Linux), and replaces itself with the program. Doing this between fork and exec in the
supervisor itself would run Python code in a forked process, which is not safe.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2


def die_with_parent(parent: int, signal_number: int) -> None:
    """Tie this process to `parent`, and leave at once if that one is gone already."""
    if not sys.platform.startswith("linux"):
        return
    _checked("prctl", PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"the supervisor {parent} is gone")


def become(user: str, *paths: str) -> None:
    """Give up root for `user`.

    Where one of `paths` lies below a folder that the user may not enter (a project in root's home),
    the one capability to read regardless is kept, so that nobody has to open such folders to all.
    """
    account = pwd.getpwnam(user)
    keep = None if all(_may_reach(account, path) for path in paths) else _reading_capability()
    if keep is not None:
        _checked("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if keep is not None:
        _raise_ambient(keep)
    os.environ["HOME"] = "/"  # noqa: TID251 - the child must not look into root's home


def _may_reach(account: pwd.struct_passwd, path: str) -> bool:
    folder = os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - starts bare, without pathlib
    while True:
        stat = os.stat(folder)  # noqa: PTH116 - as above
        if not stat.st_mode & 0o001 and stat.st_uid != account.pw_uid:
            return False
        if folder == "/":
            return True
        folder = os.path.dirname(folder)  # noqa: PTH120 - as above


def _reading_capability() -> int:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - as above
        permitted = next(int(line.split()[1], 16) for line in status if line.startswith("CapPrm"))
    return CAP_DAC_READ_SEARCH if permitted >> CAP_DAC_READ_SEARCH & 1 else CAP_DAC_OVERRIDE


def _raise_ambient(capability: int) -> None:
    mask = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _checked("capset", header, data)
    _checked("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _checked(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{function}: {os.strerror(errno)}")


def main(arguments: list[str]) -> None:
    """Tie, give up root, replace this process."""
    parent, signal_number, user, data_dir, program, *rest = arguments
    if user != "-":
        become(user, program, data_dir)
    # After `become`: a change of user clears the tie.
    die_with_parent(int(parent), int(signal_number))
    os.execvp(program, [program, *rest])  # noqa: S606 - the whole point


if __name__ == "__main__":
    main(sys.argv[1:])
