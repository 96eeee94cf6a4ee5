"""Types a tensor can be quantized to, and the space of choices a target allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class QuantDtype(StrEnum):
    """An element type of ONNX QuantizeLinear: integers, and the 8-bit float that TensorRT computes in."""

    INT4 = "int4"
    UINT4 = "uint4"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    FLOAT8E4M3FN = "float8e4m3fn"

    @property
    def signed(self) -> bool:
        """Whether negative integers exist."""
        return not self.value.startswith("u")

    @property
    def bits(self) -> int:
        """Width in bits."""
        return FULL_WIDTH if self is QuantDtype.FLOAT8E4M3FN else int(self.value.lstrip("uint"))

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest number."""
        if self is QuantDtype.FLOAT8E4M3FN:
            return -_FLOAT8_MAX, _FLOAT8_MAX
        if self.signed:
            return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1


def limits_of(dtype: QuantDtype, *, narrow_range: bool, bits: int | None = None) -> tuple[int, int]:
    """Smallest and largest number that is used of a type.

    Args:
        dtype: integer type that stores the numbers.
        narrow_range: leave out the most negative integer.
        bits: use only so many bits of the type; None: all.
    """
    if dtype is QuantDtype.FLOAT8E4M3FN:
        return dtype.limits
    width = dtype.bits if bits is None else bits
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if dtype.signed else (0, 2**width - 1)
    return (low + 1, high) if narrow_range else (low, high)


@dataclass(frozen=True, kw_only=True)
class QuantSpec:
    """How one kind of tensor is to be quantized.

    Attributes:
        dtype: integer type.
        symmetric: zero point at the middle of the type (0 for signed types).
        narrow_range: leave out the most negative integer (−127..127 for int8).
        per_channel: one scale per slice of the consumer's channel axis instead of one per tensor.
        bits: use only so many bits of the type (3 bits stored as int8); None: all.
        block: one scale per so many elements along the rows that are summed over, of a matrix; None: no blocks.
        half_scale: scales are float16 numbers, so that they are the same in a float16 graph.
    """

    dtype: QuantDtype
    symmetric: bool
    narrow_range: bool = False
    per_channel: bool = False
    bits: int | None = None
    block: int | None = None
    half_scale: bool = False

    @property
    def width(self) -> int:
        """Bits that are used."""
        return self.dtype.bits if self.bits is None else self.bits

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest integer that is used."""
        return limits_of(self.dtype, narrow_range=self.narrow_range, bits=self.bits)

    def with_width(self, width: int) -> QuantSpec:
        """The same at another width: int4 or uint4 at four bits, else the 8-bit type of the same sign, used in part.

        Every integer counts where there are few: below 8 bits the most negative one is used, too.
        """
        if width == self.width:
            return self
        narrow = self.narrow_range and width >= FULL_WIDTH
        if width == FULL_WIDTH // 2:
            return replace(self, dtype=_FOUR_BIT[self.dtype.signed], narrow_range=narrow, bits=None)
        dtype = _EIGHT_BIT[self.dtype.signed]
        return replace(self, dtype=dtype, narrow_range=narrow, bits=None if width == FULL_WIDTH else width)


FULL_WIDTH = 8
_FLOAT8_MAX = 448
_FOUR_BIT = {True: QuantDtype.INT4, False: QuantDtype.UINT4}
_EIGHT_BIT = {True: QuantDtype.INT8, False: QuantDtype.UINT8}
