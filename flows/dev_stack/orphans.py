"""Finds and ends every process that one `up` started, wherever it went.

Each server is started with the root in its environment, and whatever a server starts inherits it:
MLflow's uvicorn, the worker's nights in sessions of their own. So no pid file can be stale and no
process group be left. PR_SET_PDEATHSIG would not do: it is not inherited, so the grandchildren
would live on, and only Linux has it.

As a command, this is the guard of an `up`: it reads its stdin, a pipe from `up`, until that ends
with it, also by kill -9, and then ends what is left. Where both are killed, the next `up` does it.
"""

import os
import sys

import psutil

MARK = "GRAIL_UP"
"""Environment variable that names the root of the `up` a process belongs to."""


def marked(root: str) -> list[psutil.Process]:
    """Return the living processes, other than this one, that belong to the `up` of a root."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == root:
                found.append(process)
        except (psutil.Error, OSError):  # ended meanwhile, a zombie, or another user's
            continue
    return found


def kill_orphans(root: str) -> int:
    """Kill them all, also those that start meanwhile; return how many there were."""
    killed: set[psutil.Process] = set()
    while found := marked(root):
        for process in found:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        killed.update(found)
        if set(psutil.wait_procs(found, timeout=10)[1]) & set(marked(root)):
            raise TimeoutError(f"processes of {root} do not end: {[p.pid for p in found]}")
    return len(killed)


if __name__ == "__main__":
    sys.stdin.read()
    kill_orphans(sys.argv[1])
