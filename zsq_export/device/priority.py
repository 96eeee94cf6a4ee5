"""Asking the system not to take the processor away while times are measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HIGHEST = -20
_AUTOGROUP = Path("/proc/self/autogroup")
_THREADS = Path("/proc/self/task")


@contextmanager
def raised_priority() -> Iterator[bool]:
    """Highest priority for all threads of this process and, on Linux, for its session; as before on leaving.

    Linux shares the processor between sessions first and between their threads then, so that a thread's priority alone
    says little. It takes the rights of an administrator: without them, and for a process that was started with a lower
    priority than usual ("nice"), nothing is changed.

    Yields:
        Whether the priority is raised.
    """
    if not hasattr(os, "setpriority") or os.getpriority(os.PRIO_PROCESS, 0) > 0:
        yield False
        return
    kept = {thread: _priority(thread) for thread in _threads()}
    group = _session_priority()
    raised = all([_set(thread, _HIGHEST) for thread in kept]) and bool(kept)
    if raised:
        _set_session(_HIGHEST)
    try:
        yield raised
    finally:
        if raised:
            _set_session(group)
            for thread in _threads():
                _set(thread, kept.get(thread, kept.get(os.getpid(), 0)))


def _threads() -> list[int]:
    """Of this process; only the calling one where the system does not list them."""
    try:
        return [int(entry.name) for entry in _THREADS.iterdir()]
    except OSError:
        return [0]


def _priority(thread: int) -> int:
    try:
        return os.getpriority(os.PRIO_PROCESS, thread)
    except OSError:
        return 0


def _set(thread: int, priority: int) -> bool:
    """False only if it is not allowed: a thread may have ended meanwhile."""
    try:
        os.setpriority(os.PRIO_PROCESS, thread, priority)
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def _session_priority() -> int:
    """As "/autogroup-27 nice 0" tells."""
    try:
        return int(_AUTOGROUP.read_text().split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def _set_session(priority: int) -> None:
    with suppress(OSError):
        _AUTOGROUP.write_text(str(priority))
