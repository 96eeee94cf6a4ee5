"""The held-out inputs of a conversion, and the estimates made on them."""

from __future__ import annotations

from zsq_export.estimate.estimator import Estimator
from zsq_export.pipeline.conversion import IN_A_HURRY, Calibrated
from zsq_export.progress import Progress


class Judge:
    """Makes the held-out inputs of a conversion once, when the first target asks for them."""

    def __init__(self, calibrated: Calibrated, progress: Progress) -> None:
        self._calibrated, self._progress = calibrated, progress
        self._estimator: Estimator | None = None

    @property
    def estimator(self) -> Estimator:
        """For any target.

        Raises:
            ZsqError: the float model cannot be run on inputs of its own.
        """
        if self._estimator is None:
            self._progress("making inputs that calibration did not see", None)
            quick = IN_A_HURRY in self._calibrated.result.provenance.settings
            self._estimator = Estimator(self._calibrated.prepared, self._calibrated.result, quick=quick)
        return self._estimator
