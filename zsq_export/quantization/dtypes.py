"""Integer types a tensor can be quantized to, and the space of choices a target allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class QuantDtype(StrEnum):
    """An integer element type of ONNX QuantizeLinear."""

    INT4 = "int4"
    UINT4 = "uint4"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"

    @property
    def signed(self) -> bool:
        """Whether negative integers exist."""
        return not self.value.startswith("u")

    @property
    def bits(self) -> int:
        """Width in bits."""
        return int(self.value.lstrip("uint"))

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest integer."""
        if self.signed:
            return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1


@dataclass(frozen=True, kw_only=True)
class QuantSpec:
    """How one kind of tensor is to be quantized.

    Attributes:
        dtype: integer type.
        symmetric: zero point at the middle of the type (0 for signed types).
        narrow_range: leave out the most negative integer (−127..127 for int8).
        per_channel: one scale per slice of the consumer's channel axis instead of one per tensor.
    """

    dtype: QuantDtype
    symmetric: bool
    narrow_range: bool = False
    per_channel: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest integer that is used."""
        low, high = self.dtype.limits
        return (low + 1, high) if self.narrow_range else (low, high)
