"""How long and how strongly rounding is learned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AdaroundSettings:
    """Hyper-parameters of the reconstruction of one segment.

    Attributes:
        steps: of Adam.
        batch: samples per step.
        rounding_rate: step of the offsets, in integers; all steps decay to zero along a cosine.
        reach: largest offset, in integers; above 0.5 a weight may leave its two neighbours.
        scale_rate: step of the logarithm of weight and activation scales.
        bias_rate: step of bias corrections, in units of their standard deviation.
        drop: chance that an activation element is read in float (QDrop).
        compensated: start from the integers of the rounding ``gptq`` instead of the nearest.
    """

    steps: int = 200
    batch: int = 32
    rounding_rate: float = 5e-3
    reach: float = 0.5
    scale_rate: float = 2e-3
    bias_rate: float = 2e-2
    drop: float = 0.5
    compensated: bool = True
