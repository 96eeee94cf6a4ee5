"""Scale, zero point, type and axis of one quantized tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.dtypes import QuantDtype

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class QParams:
    """``real = scale * (q - zero_point)``; ONNX QuantizeLinear semantics.

    Attributes:
        scale: one float32 value (axis is None) or one per slice of ``axis``; > 0 and finite.
        zero_point: as many integers as there are scales.
        dtype: integer type of q.
        axis: channel axis, or None for one scale per tensor.
        narrow_range: −127 (int8) instead of −128 is the smallest q.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    dtype: QuantDtype
    axis: int | None = None
    narrow_range: bool = False

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.zero_point) or (self.axis is None and len(self.scale) != 1):
            raise ValueError(f"{len(self.scale)} scales, {len(self.zero_point)} zero points, axis {self.axis}")
        if not all(np.isfinite(s) and s > 0 for s in self.scale):
            raise ValueError("every scale must be positive and finite")
        low, high = self.dtype.limits
        if not all(low <= z <= high for z in self.zero_point):
            raise ValueError(f"a zero point lies outside {low}..{high}")

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest q."""
        low, high = self.dtype.limits
        return (low + 1, high) if self.narrow_range else (low, high)
