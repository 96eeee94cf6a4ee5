"""Whether this process is at rest, and whether the system left it alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path

_REST_STEP = 0.001
_MOST_REST = 0.25
_AT_REST = 0.2
"""Share of one processor that a process at rest uses at most."""
_THREADS = Path("/proc/self/task")
_STATISTICS = Path("/proc/stat")


def count_preemptions() -> int:
    """Involuntary context switches of all threads of this process; 0 where the system does not count them."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def come_to_rest() -> int:
    """Waits until no other thread of this process works, a quarter of a second at most.

    Returns:
        How many threads of other programs want a processor then; 0 where the system does not tell.
    """
    end = time.perf_counter() + _MOST_REST
    while time.perf_counter() < end:
        busy = time.process_time()
        time.sleep(_REST_STEP)
        if time.process_time() - busy < _AT_REST * _REST_STEP and not _others_run():
            break
    return _bystanders()


def _bystanders() -> int:
    """Threads that run or wait for a processor, on the whole machine, without the one that asks."""
    try:
        with _STATISTICS.open() as lines:
            found = [int(line.split()[1]) for line in lines if line.startswith("procs_running")]
    except (OSError, ValueError):
        return 0
    return max(0, sum(found) - 1)


def _others_run() -> bool:
    """Whether another thread runs or waits for a processor, as Linux tells; False elsewhere."""
    own = str(threading.get_native_id())
    try:
        stats = [entry / "stat" for entry in _THREADS.iterdir() if entry.name != own]
    except OSError:
        return False
    return any(_state(stat) == "R" for stat in stats)


def _state(stat: Path) -> str:
    """The letter behind the name in brackets."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
