"""What a search is to reach, and how long it may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from zsq_export.progress import Progress, silent
from zsq_export.validation.forecast import AgreementEstimate


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What a search is to reach, and how long it may take.

    Attributes:
        min_agreement: expected on real data, percent; None: any.
        min_speedup: against the best float precision of the device; None: any.
        threads: of the runtime.
        seconds: after so many, calibration included, no new plan is tried, once one has been found.
        timing_seconds: of one measurement of latency.
        timed: measure latency at all.
        progress: called with (what is being done, fraction done or None).
        clock: replaced in tests.
    """

    min_agreement: float | None = None
    min_speedup: float | None = None
    threads: int | None = None
    seconds: float = 220.0
    timing_seconds: float = 3.0
    timed: bool = True
    progress: Progress = field(default=silent, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)

    def agrees(self, estimate: AgreementEstimate) -> bool:
        """Whether the gate on agreement holds."""
        return self.min_agreement is None or estimate.percent >= self.min_agreement
