"""Scale, zero point, type and axis of one quantized tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.dtypes import QuantDtype, limits_of

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class QParams:
    """``real = scale * (q - zero_point)``; ONNX QuantizeLinear semantics.

    Attributes:
        scale: one float32 value (axis is None), one per slice of ``axis``, or one per block; > 0 and finite.
        zero_point: as many integers as there are scales.
        dtype: integer type of q.
        axis: channel axis, or None for one scale per tensor; with blocks the axis that they divide.
        narrow_range: −127 (int8) instead of −128 is the smallest q.
        bits: only so many bits of the type are used; None: all.
        block: elements along ``axis`` that share a scale; the scales then lie as in an array of the tensor's shape with
            that axis divided by ``block``. None: no blocks.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    dtype: QuantDtype
    axis: int | None = None
    narrow_range: bool = False
    bits: int | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.zero_point) or (self.axis is None and len(self.scale) != 1):
            raise ValueError(f"{len(self.scale)} scales, {len(self.zero_point)} zero points, axis {self.axis}")
        if self.block is not None and (self.block < 1 or self.axis is None):
            raise ValueError(f"blocks of {self.block} along axis {self.axis}")
        if not all(0 < s < math.inf for s in self.scale):
            raise ValueError("every scale must be positive and finite")
        if self.bits is not None and not 2 <= self.bits < self.dtype.bits:
            raise ValueError(f"{self.bits} bits of {self.dtype.value}: it must be 2 to {self.dtype.bits - 1}")
        low, high = limits_of(self.dtype, narrow_range=False, bits=self.bits)
        if not low <= min(self.zero_point, default=low) <= max(self.zero_point, default=low) <= high:
            raise ValueError(f"a zero point lies outside {low}..{high}")

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest q."""
        return limits_of(self.dtype, narrow_range=self.narrow_range, bits=self.bits)

    @property
    def width(self) -> int:
        """Bits that are used."""
        return self.dtype.bits if self.bits is None else self.bits
