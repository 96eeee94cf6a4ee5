"""One plan tried out: built, run on held-out inputs, and timed beside the float model."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zsq_export.backends.base import Backend, Runner
from zsq_export.backends.options import FloatPrecision
from zsq_export.errors import KernelMissingError
from zsq_export.estimate.estimator import Estimator
from zsq_export.graph.prepared import PreparedModel
from zsq_export.pipeline import insert_qdq
from zsq_export.planning.fallback import give_back
from zsq_export.planning.plan import Plan
from zsq_export.rounding.base import Integers
from zsq_export.validation.figures import InputOrigin, SpeedUp
from zsq_export.validation.forecast import AgreementEstimate
from zsq_export.validation.latency import Candidate, LatencyOptions, measure_latency
from zsq_export.validation.running import fixed_batch
from zsq_export.validation.samples import Feeds

Call = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long a model takes beside another.

    Attributes:
        baseline: label of the other one.
        ratio: times as fast as that.
        low, high: 95 % interval of the ratio.
        seconds: of one inference of the model itself.
        baseline_seconds: of one inference of the other one.
        precision: that the other one runs in.
    """

    baseline: str
    ratio: float
    low: float
    high: float
    seconds: float
    baseline_seconds: float
    precision: str = FloatPrecision.F32.value


class Bench:
    """Builds plans of one model for one target and measures them.

    Args:
        backend: configured.
        prepared: the float model that is quantized.
        original: the float model that latency is compared with: ``prepared``, or what it was before equalization.
        integers: of the weights.
        estimator: with the held-out inputs.
        threads: of the runtime.
    """

    def __init__(
        self,
        backend: Backend,
        prepared: PreparedModel,
        integers: Integers,
        estimator: Estimator,
        threads: int | None,
    ) -> None:
        self.backend, self.prepared, self.estimator, self.threads = backend, prepared, estimator, threads
        self._integers = integers
        self._floats: list[Candidate] = []
        self.feeds = _one_batch(prepared, estimator)

    def build(self, plan: Plan) -> tuple[Plan, Runner]:
        """Lowers a plan and opens it; nodes without a kernel go back to float.

        Raises:
            ZsqError: as of the target's ``lower`` and ``open``.
        """
        with tempfile.TemporaryDirectory(prefix="zsq-search-") as folder:
            while True:
                try:
                    files = self.backend.lower(insert_qdq(self.prepared, plan, self._integers), plan, Path(folder))
                    return plan, self.backend.open(Path(folder) / files[0], threads=self.threads)
                except KernelMissingError as error:
                    plan = give_back(plan, self.prepared.folded, error)

    def judge(self, runner: Runner) -> AgreementEstimate:
        """Expected agreement on real data."""
        return self.estimator.judge(runner.run)

    def against_float(self, runner: Runner, seconds: float) -> Timing:
        """Beside the best float precision of the device."""
        candidates = [*self._float_candidates(), Candidate(label="quantized", precision=None, call=self._bound(runner))]
        return self._time(candidates, seconds)

    def against(self, other: Runner, runner: Runner, seconds: float) -> Timing:
        """Beside another model."""
        candidates = [
            Candidate(label="before", precision="f32", call=self._bound(other)),
            Candidate(label="quantized", precision=None, call=self._bound(runner)),
        ]
        return self._time(candidates, seconds)

    def _bound(self, runner: Runner) -> Call:
        """One inference on the inputs that are timed."""
        return runner.bind(self.feeds)

    def _float_candidates(self) -> list[Candidate]:
        if not self._floats:
            for precision in self.backend.float_precisions():
                runner = self.backend.open_float(self.prepared.folded, precision, threads=self.threads)
                label = f"float {precision.value}"
                self._floats.append(Candidate(label=label, precision=precision.value, call=self._bound(runner)))
        return self._floats

    def _time(self, candidates: list[Candidate], seconds: float) -> Timing:
        batch = len(next(iter(self.feeds.values())))
        found = measure_latency(
            candidates,
            LatencyOptions(seconds=seconds),
            batch_size=batch,
            threads=self.threads,
            inputs=InputOrigin.SYNTHETIC,
        )
        best: SpeedUp = found.against_best
        precisions = {made.label: made.precision or "" for made in candidates}
        medians = {series.label: series.median_ms / 1e3 for series in found.series}
        return Timing(
            baseline=best.baseline,
            ratio=best.ratio,
            low=best.low,
            high=best.high,
            seconds=found.series[-1].median_ms / 1e3,
            baseline_seconds=medians[best.baseline],
            precision=precisions[best.baseline],
        )


def _one_batch(prepared: PreparedModel, estimator: Estimator) -> Feeds:
    """As many samples as the model takes at once, one where that is open."""
    size = fixed_batch(prepared.inputs) or 1
    inputs = estimator.sets[0].inputs
    repeats = math.ceil(size / len(next(iter(inputs.values()))))
    return {
        name: np.ascontiguousarray(np.concatenate([array] * repeats)[:size], np.float32)
        for name, array in inputs.items()
    }
