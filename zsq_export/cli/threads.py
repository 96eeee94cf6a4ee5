"""``--threads`` for everything that computes in this process."""

from __future__ import annotations

import os


def limit_threads(threads: int | None) -> None:
    """Keeps this process to so many CPUs: every library that runs here sizes its pool by them.

    Where the system has no CPU affinity only PyTorch is limited.
    """
    if threads is None:
        return
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:threads])
    import torch

    torch.set_num_threads(threads)
