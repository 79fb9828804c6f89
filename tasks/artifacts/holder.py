"""Names the process that holds something, and tells whether it still lives."""

import os
import socket

import psutil


def holder() -> str:
    """Name this process: by its machine, its id, and when it was started (ids are given again)."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.0f}"


def has_gone(named: str) -> bool:
    """Whether a process of this machine has ended; of another machine's nothing is known: False."""
    try:
        host, process, started = named.rsplit(" ", 2)
        if host != socket.gethostname():
            return False
        found = psutil.Process(int(process))
        is_alive = found.status() != psutil.STATUS_ZOMBIE
        return not (is_alive and f"{found.create_time():.0f}" == started)
    except psutil.NoSuchProcess:
        return True
    except ValueError:
        return False
