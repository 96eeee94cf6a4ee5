"""What rounds of interleaved timings come to: times that count, and ratios with their interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FEWEST_COUNTED = 15
_RESAMPLES = 1000
_FEWEST_LOADINGS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Timings:
    """Times of every model, round by round.

    Attributes:
        seconds: [models, rounds], seconds per inference.
        disturbances: [rounds], how often the system took the processor away, and how many threads of other programs
            wanted one when a block began.
        loading: [rounds], which loading of the models it was.
        inferences: timed in one block, per model.
        warmed_up: the times had become stable before the first round.
        raised: the system let this process have the raised priority in every second round.
    """

    seconds: NDArray[np.float64]
    disturbances: NDArray[np.int64]
    loading: NDArray[np.int64]
    inferences: tuple[int, ...]
    warmed_up: bool
    raised: bool = False

    @property
    def counted(self) -> NDArray[np.bool_]:
        """[rounds]: those in which nobody else had or wanted the processor, or those that come nearest to that."""
        enough = min(len(self.disturbances), _FEWEST_COUNTED)
        return np.asarray(self.disturbances <= np.sort(self.disturbances)[enough - 1])

    @property
    def kept(self) -> NDArray[np.float64]:
        """[models, rounds that count]."""
        return self.seconds[:, self.counted]

    def ratio(self, model: int, *, seed: int = 0) -> Ratio:
        """How many times longer a model takes than the last one, over the rounds that count."""
        times = self.kept
        return ratio_of(times[model], times[-1], loading=self.loading[self.counted], seed=seed)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times longer one model takes than another: median of the paired rounds, 95 % interval."""

    ratio: float
    low: float
    high: float


def ratio_of(
    numerator: NDArray[np.float64],
    denominator: NDArray[np.float64],
    *,
    loading: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Ratio:
    """Median ratio of paired rounds with its percentile-bootstrap interval (Efron & Tibshirani 1993, ch. 13).

    Args:
        numerator, denominator: seconds per inference of the same rounds.
        loading: which loading of the models each round belongs to; of several, whole loadings are drawn, because their
            rounds have more in common than the rounds of different ones.
        seed: of the resampling.
    """
    ratios = numerator / denominator
    random = np.random.default_rng(seed)
    groups = [] if loading is None else [ratios[loading == number] for number in np.unique(loading)]
    if len(groups) >= _FEWEST_LOADINGS:
        drawn = random.integers(0, len(groups), (_RESAMPLES, len(groups)))
        medians = [np.median(np.concatenate([groups[index] for index in row])) for row in drawn]
    else:
        medians = list(np.median(ratios[random.integers(0, len(ratios), (_RESAMPLES, len(ratios)))], axis=1))
    low, high = np.percentile(medians, (2.5, 97.5))
    middle = float(np.median(ratios))
    return Ratio(ratio=middle, low=min(float(low), middle), high=max(float(high), middle))
