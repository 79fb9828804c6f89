"""Faults at a step of a piece of work: it is killed there, or what it asks of the system fails.

A step is what Python itself tells of files (its audit events), and a call of what is named besides.
The work is done by a child of this process, made by a fork: let nothing have used threads before.
"""

import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

REMOVALS = frozenset({"os.remove", "os.rename", "os.rmdir"})
"""Python's own names of what removes something, or moves it out of its place."""

OPERATIONS = REMOVALS | {"open", "os.mkdir", "os.utime", "os.truncate", "os.chmod", "os.listdir"}
"""Of what a file system is asked."""

ENDINGS: dict[str, Callable[[], object]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    # a command's SIGTERM reaches who works as this (``flows.commands.supervisor``)
    "terminated": lambda: signal.raise_signal(signal.SIGINT),
    "exception": lambda: fail(None),
    "disk full": lambda: fail(errno.ENOSPC),
    "disk broken": lambda: fail(errno.EIO),
    "away": lambda: fail(errno.ECONNRESET),
}
LASTING = " from then on"
"""Ending of the name of an ending that every step after it has, too."""


def fail(number: int | None) -> None:
    """Raise what a system call fails with, or what nobody expects."""
    if number is None:
        raise RuntimeError("a fault that nobody expects")
    raise OSError(number, os.strerror(number))


@dataclass(frozen=True)
class Steps:
    """What counts as a step: events of files below a folder, and calls of methods."""

    events: Collection[str] = OPERATIONS
    within: str = ""
    calls: Collection[tuple[Any, str]] = field(default=())
    """Owners and names of what is called; ``(os, "fsync")`` for one that has no event."""

    def are_told(self, step: Callable[[], None]) -> None:
        """Call ``step`` before each, from now on, in all of this process."""

        def hear(event: str, args: tuple[object, ...]) -> None:
            if event not in self.events or (path := str(args[0])).endswith((".lock", "/lock")):
                return  # a lock is empty, and there for good
            if self.within in path or not path.startswith("/"):  # of a folder that is open
                step()

        for owner, name in self.calls:
            setattr(owner, name, counted(getattr(owner, name), step))
        sys.addaudithook(hear)


def counted(call: Callable[..., object], step: Callable[[], None]) -> Callable[..., object]:
    """Return a call that tells of itself first."""

    def counting(*args: object, **named: object) -> object:
        step()
        return call(*args, **named)

    return counting


@dataclass(frozen=True)
class Stretch:
    """A piece of a night, in a folder of its own, and what must be there after a fault in it."""

    name: str
    begin: Callable[[Path], object]
    """Make what is there before."""
    work: Callable[[Path], object]
    """Do it; done again, it goes on from what was finished."""
    check: Callable[[Path], object]
    """AssertionError if something is half, right after a fault."""
    found: Callable[[Path], Any]
    """Return what must be the same whatever has happened; AssertionError if something is left."""
    steps: Callable[[Path], Steps]
    endings: Collection[str]


def ended_at(number: int, ending: str, work: Callable[[], object], steps: Steps) -> int:
    """Do some work in another process, which ends at its n-th step; return its status.

    0 where it has ended well: it has fewer steps, or what failed was not needed.
    """
    done, end = 0, ENDINGS[ending.removesuffix(LASTING)]

    def step() -> None:
        nonlocal done
        done += 1
        if done == number or (done > number and ending.endswith(LASTING)):
            end()

    def told() -> None:
        steps.are_told(step)
        work()

    return status_of(told)


def number_of_steps(work: Callable[[], object], steps: Steps) -> int:
    """Do some work in another process, and return how many steps it took."""

    def counting() -> int:
        done = 0

        def step() -> None:
            nonlocal done
            done += 1

        steps.are_told(step)
        work()
        return done

    return int(answer_of(counting))


def answer_of(work: Callable[[], Any]) -> Any:
    """Do some work in another process, and return what it returns, by way of JSON.

    AssertionError with its last words where it fails.
    """
    ours, theirs = os.pipe()

    def answering() -> None:
        try:
            said = json.dumps([work(), None])
        except BaseException as error:  # noqa: BLE001  # it is raised in the parent
            said = json.dumps([None, f"{type(error).__name__}: {error}"])
        with os.fdopen(theirs, "w") as pipe:
            pipe.write(said)

    child = os.fork()
    if not child:
        status_here(answering)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    answer, failure = json.loads(said or '[null, "it said nothing"]')
    assert failure is None, failure
    return answer


def status_of(work: Callable[[], object]) -> int:
    """Do some work in another process, and return its status."""
    child = os.fork()
    if not child:
        status_here(work)
    return os.waitpid(child, 0)[1]


def status_here(work: Callable[[], object]) -> NoReturn:
    """Do some work, silently, and end this process; its status says whether it ended well."""
    try:
        logging.disable()
        sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        signal.signal(signal.SIGINT, signal.default_int_handler)
        work()
    except BaseException:  # noqa: BLE001  # the status says it
        os._exit(1)
    os._exit(0)
