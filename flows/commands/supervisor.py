"""A command is two processes: one that works, and this one, which waits and ends it in time.

What works may swallow an interrupt (in a callback, a finalizer, somebody else's ``except``), be
deep in compiled code, or wait for a server that has ended. So it decides neither whether a signal
counts nor when all is over: this process does, which imports nothing, and in which a signal can
strike nowhere but in ``sigwait``. It lives in another process group, so that Ctrl-C in a terminal
reaches this one alone; all that the worker starts is in the worker's group, and ends with it.
"""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from threading import Thread
from types import TracebackType
from typing import NoReturn

from flows.commands.terminal import say

PATIENCE = 6
"""Seconds in which the worker may end by itself, tell Prefect of it, and end its server."""
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OTHERS = (signal.SIGCHLD, signal.SIGALRM, signal.SIGTSTP)


def supervise(prog: str) -> None:
    """Go on in a child process; this one waits for it, and ends the process when it has ended.

    It ends with the child's own code, or, after a signal, with 128 and the signal's number as a
    shell counts it, at most PATIENCE seconds later; a second signal ends the patience.
    """
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heard = [one for one in (*STOPS, *OTHERS) if not (is_nohup and one == signal.SIGHUP)]
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    former = {one: signal.signal(one, _hear) for one in heard}
    alive, ours = os.pipe()
    worker = os.fork()
    if worker:
        os.close(alive)
        with contextlib.suppress(OSError):  # both do it, so that it is done before it is needed
            os.setpgid(worker, worker)
        _end(prog, *_wait(worker, heard))
    os.close(ours)
    os.setpgid(0, 0)
    # Where a script started this with ``&``, SIGINT is ignored, also by what is started from here
    former[signal.SIGINT] = signal.default_int_handler
    for one, handler in former.items():
        signal.signal(one, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    sys.excepthook = _end_when_interrupted
    Thread(target=_end_with_parent, args=(alive,), daemon=True).start()


def _wait(worker: int, heard: Sequence[signal.Signals]) -> tuple[int, int]:
    """Wait until the worker has ended; return its exit code, and the signal that ended it or 0."""
    stopped_by = ended = 0
    while not ended:
        one = signal.sigwait(heard)
        if one == signal.SIGCHLD:
            ended, status = os.waitpid(worker, os.WNOHANG)
        elif one == signal.SIGTSTP:
            _pause(worker)
        elif one == signal.SIGALRM or stopped_by:
            _kill_group(worker)
        else:
            stopped_by = one
            os.kill(worker, signal.SIGINT)
            signal.alarm(PATIENCE)
    _kill_group(worker)  # what it left behind
    code = os.waitstatus_to_exitcode(status)
    if not stopped_by:  # it may have been sent to the worker itself
        stopped_by = next((one for one in STOPS if code in (-one, 128 + one)), 0)
    return code, stopped_by


def _end(prog: str, code: int, stopped_by: int) -> NoReturn:
    """End this process as the worker did, and say what a person should know of it."""
    if stopped_by:
        _say(f"{prog}: interrupted by {_name(stopped_by)}; what was finished is kept")
        os._exit(128 + stopped_by)
    if code < 0:
        reason = " (perhaps for want of memory)" if code == -signal.SIGKILL else ""
        _say(f"{prog}: killed by {_name(-code)}{reason}; what was finished is kept")
        os._exit(128 - code)
    os._exit(code)


def _say(what: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be closed
        say(f"{what}, run again to go on", on_stderr=True)


def _name(number: int) -> str:
    return signal.Signals(number).name


def _pause(worker: int) -> None:
    """Stop with the worker, as Ctrl-Z asks, and go on with it."""
    os.killpg(worker, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    os.killpg(worker, signal.SIGCONT)


def _kill_group(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: of zombies alone
        os.killpg(worker, signal.SIGKILL)


def _end_with_parent(alive: int) -> None:
    """End this process and all its children as soon as the parent has ended, however it did."""
    os.read(alive, 1)
    os.killpg(0, signal.SIGKILL)


def _end_when_interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say nothing of an interrupt, which the supervisor tells of, and show any other error.

    Python takes seconds to take itself down, on a busy machine all that there are: not after this.
    """
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.shutdown()  # sends what Prefect's page should show
    os._exit(128 + signal.SIGINT)


def _hear(*_: object) -> None:
    """Do nothing: the signal is blocked and waited for, not ignored."""
