"""Mean and spread of an input that is no picture, read off the first BatchNorm."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from zsq_export.calib.first_layer import BatchNormProbe
from zsq_export.calib.synthesis import field_inputs
from zsq_export.graph.prepared import InputInfo, PreparedModel

PROBE_SAMPLES = 16
PROBE_SEED = 20231
DEVIATIONS = tuple(float(value) for value in np.geomspace(1e-2, 300.0, 16))
RELATIVE_MEANS = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)
REFINEMENTS = (0.6, 0.8, 1.0, 1.25, 1.6)


@dataclass(frozen=True, kw_only=True)
class FieldScale:
    """Mean and standard deviation of the input's elements, and what to tell the user."""

    mean: float
    deviation: float
    note: str


def fit_field_scale(model: PreparedModel, info: InputInfo) -> FieldScale:
    """Searches mean and deviation under which the first BatchNorms fit best; 0 and 1 without BatchNorm."""
    if not model.batchnorms or len(model.inputs) != 1:
        return FieldScale(
            mean=0.0,
            deviation=1.0,
            note=(
                f"input '{info.name}' is no picture and there is no BatchNorm to fit its scale by; assumed mean 0 and "
                "standard deviation 1: ranges may be wrong, calibrate with --calibrator data if you can"
            ),
        )
    probe = BatchNormProbe(model)
    fields = field_inputs(info, seed=PROBE_SEED, count=PROBE_SAMPLES)

    def mismatch(candidate: tuple[float, float]) -> float:
        mean, deviation = candidate
        return probe.mismatch({info.name: (mean + deviation * fields).astype(np.float32)})

    coarse = min(((r * s, s) for s, r in product(DEVIATIONS, RELATIVE_MEANS)), key=mismatch)
    fine = ((coarse[0] * m, coarse[1] * s) for m, s in product(REFINEMENTS, REFINEMENTS))
    mean, deviation = min(fine, key=mismatch)
    return FieldScale(
        mean=mean,
        deviation=deviation,
        note=(
            f"input '{info.name}' is no ordinary picture; its elements were fitted to the first BatchNorm as mean "
            f"{mean:.3g}, standard deviation {deviation:.3g} (mismatch {mismatch((mean, deviation)):.2f})"
        ),
    )
