"""The baseline that everybody else uses without data: uniform noise. Here only to measure how much it costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Provenance
from zsq_export.errors import CalibrationError
from zsq_export.graph.prepared import InputInfo, PreparedModel

DEFAULT_SAMPLES = 1
"""NVIDIA ModelOpt and AMD Quark calibrate on one random sample when they are given no data."""


class RandomCalibrator:
    """Uniform [0, 1) values on every input, whatever the model expects."""

    name = "random"
    summary = "one sample of uniform noise, as other tools do without data; a baseline, not for use"

    def obstacle(self, model: PreparedModel) -> str | None:
        """Why it cannot work: an input of unknown size."""
        unknown = next((entry for entry in model.inputs if None in entry.shape[1:]), None)
        return (
            None if unknown is None else f"input {unknown.name!r} has dimensions of unknown size: {list(unknown.shape)}"
        )

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Makes ``request.samples`` (default 1) random inputs and watches the folded model on them.

        Raises:
            CalibrationError: an input has dimensions of unknown size.
        """
        from zsq_export.execution.collect import collect_statistics

        obstacle = self.obstacle(model)
        if obstacle:
            raise CalibrationError(obstacle, hint="export the model with fixed sizes behind the batch axis")
        samples = request.samples or DEFAULT_SAMPLES
        request.progress("making random inputs", None)
        generator = np.random.default_rng(request.seed)
        inputs = {entry.name: _uniform(generator, entry, samples) for entry in model.inputs}
        request.progress("gathering statistics", None)
        return CalibrationResult(
            statistics=collect_statistics(model.folded, inputs),
            inputs=inputs,
            preprocessing=request.preprocessing,
            provenance=Provenance(
                calibrator=self.name,
                seed=request.seed,
                samples=samples,
                notes=("random noise says nothing about real inputs: expect a large loss of accuracy",),
            ),
        )


def _uniform(generator: np.random.Generator, entry: InputInfo, samples: int) -> NDArray[np.float32]:
    sizes = [side for side in entry.shape[1:] if side is not None]
    return generator.random((samples, *sizes), dtype=np.float32)
