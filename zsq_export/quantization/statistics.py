"""What was seen of one tensor, free of any target or integer type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """Counts over ``len(counts)`` equal bins that span [-limit, limit].

    ``limit`` is a power of two, so that two histograms of one tensor merge without resampling.
    """

    counts: NDArray[np.int64]
    limit: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorStatistics:
    """Statistics of one activation over all samples.

    Attributes:
        minimum, maximum: over everything.
        sample_minimum, sample_maximum: float32 [samples], the extremes of each sample.
        channel_minimum, channel_maximum, channel_mean, channel_variance: float32 [channels] along axis 1
            (axis −1 for tensors that are not N×C×spatial, see ``channel_axis``); biased variance.
        channel_axis: the axis the channel figures run along; None for tensors with fewer than two axes.
        histogram: over (a sample of) all elements.
        samples: how many samples were seen.
    """

    minimum: float
    maximum: float
    sample_minimum: NDArray[np.float32]
    sample_maximum: NDArray[np.float32]
    channel_minimum: NDArray[np.float32]
    channel_maximum: NDArray[np.float32]
    channel_mean: NDArray[np.float32]
    channel_variance: NDArray[np.float32]
    channel_axis: int | None
    histogram: Histogram
    samples: int
