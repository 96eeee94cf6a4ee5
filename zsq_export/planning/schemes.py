"""What a number becomes on the target: the quantization schemes there are."""

from __future__ import annotations

from enum import StrEnum


class Scheme(StrEnum):
    """How a target stores weights and activations.

    INT8: both in 8-bit integers. INT16X8: activations in 16 bits, weights in 8. INT4_WEIGHT: the weights of matrix
    products in 4 bits, everything else float. FP8: both in 8-bit floats (E4M3). FP16: nothing is quantized.
    """

    INT8 = "int8"
    INT16X8 = "16x8"
    INT4_WEIGHT = "int4-weight"
    FP8 = "fp8"
    FP16 = "fp16"
