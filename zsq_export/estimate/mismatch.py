"""How far the inputs of a calibration are from what a network was trained on, read off its BatchNorms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zsq_export.calib.first_layer import LARGEST_MISMATCH
from zsq_export.graph.prepared import BatchNormStatistics, PreparedModel
from zsq_export.quantization.statistics import TensorStatistics

_ALIVE = 1e-3
"""Channels whose gamma is below this share of the largest say nothing."""


def calibration_mismatch(prepared: PreparedModel, statistics: Mapping[str, TensorStatistics]) -> float | None:
    """Mean over layers of the mismatch between what left a BatchNorm and the beta and gamma that it has.

    Behind a BatchNorm, the training data had mean beta and standard deviation |gamma| in each channel. No run is
    needed: the calibration kept mean and variance of every tensor.

    Args:
        prepared: the float model.
        statistics: of its folded form.

    Returns:
        0 at a perfect match; None without BatchNorm, or where the statistics hold none of its outputs.
    """
    names = {node.name: str(node.outputs[0].name) for node in prepared.with_batchnorm.graph}
    pairs = ((norm, statistics.get(names[norm.node])) for norm in prepared.batchnorms)
    found = [_mismatch(norm, seen) for norm, seen in pairs if seen is not None and _fits(norm, seen)]
    return float(np.mean(found)) if found else None


def _fits(norm: BatchNormStatistics, seen: TensorStatistics) -> bool:
    return len(seen.channel_mean) == len(norm.beta)


def _mismatch(norm: BatchNormStatistics, seen: TensorStatistics) -> float:
    """Mean over the channels of ((m - β) / γ)² + ln(s / |γ|)², each capped."""
    gamma = np.abs(norm.gamma.astype(np.float64))
    alive = gamma > _ALIVE * gamma.max(initial=0.0)
    if not alive.any():
        return 0.0
    unit = np.maximum(gamma[alive], 1e-12)
    shift = ((seen.channel_mean[alive] - norm.beta[alive]) / unit) ** 2
    stretch = np.log((np.sqrt(seen.channel_variance[alive]) + 1e-9) / unit) ** 2
    return float((np.minimum(shift, LARGEST_MISMATCH) + np.minimum(stretch, LARGEST_MISMATCH)).mean())
