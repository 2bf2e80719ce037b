"""Become another program, which the kernel kills when the thread that started it ends.

Run as a script (`leash.py <pid of the parent> <program> <arguments>…`) and not as `preexec_fn`, which would run Python
code between fork and exec of a process with threads. On systems other than Linux it is a plain exec.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the signal, then exec: it outlives an exec, but not a fork."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the signal was set.
        if os.getppid() != parent:
            sys.exit("leash: the parent is gone")
    os.execv(command[0], command)  # noqa: S606 - there is no shell on purpose


if __name__ == "__main__":
    main()
