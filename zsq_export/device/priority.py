"""Asking the system not to take the processor away while times are measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def raised_priority() -> Iterator[bool]:
    """Linux' lowest real-time priority for all threads of this process, and what they had before on leaving.

    That goes before everything that has no real-time priority. Nice values would not do: Linux shares the processor
    between sessions first, and a thread that wakes up late makes its model look as if it had one thread less. The
    system keeps 5 % of every second for the others, and the process rests between blocks.

    It takes the rights of an administrator: without them, elsewhere than on Linux, and for a process that was started
    with a lower priority than usual ("nice"), nothing is changed.

    Yields:
        Whether the priority is raised.
    """
    if not hasattr(os, "sched_setscheduler") or os.getpriority(os.PRIO_PROCESS, 0) > 0:
        yield False
        return
    kept = os.sched_getscheduler(0), os.sched_getparam(0)
    raised = all([_set(thread, os.SCHED_RR, os.sched_param(1)) for thread in _threads()])
    try:
        yield raised
    finally:
        for thread in _threads():
            _set(thread, *kept)


def _threads() -> list[int]:
    """Of this process; only the calling one where the system does not list them."""
    with suppress(OSError):
        return [int(entry.name) for entry in _THREADS.iterdir()]
    return [0]


def _set(thread: int, policy: int, parameters: os.sched_param) -> bool:
    """False only if it is not allowed: a thread may have ended meanwhile."""
    try:
        os.sched_setscheduler(thread, policy, parameters)
    except PermissionError:
        return False
    except OSError:
        return True
    return True
