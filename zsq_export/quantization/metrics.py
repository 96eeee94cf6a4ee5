"""How far a quantized tensor is from its float original."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def sqnr_db(reference: NDArray[Any], approximation: NDArray[Any]) -> float:
    """Signal to quantization noise, ``10 log10(sum(x²) / sum((x - y)²))``, in dB.

    Returns:
        inf where the two are equal; -inf where the reference is all zero and the other is not.

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != approximation.shape:
        raise ValueError(f"shapes {reference.shape} and {approximation.shape} differ")
    signal = reference.astype(np.float64)
    noise = float(np.sum((signal - approximation.astype(np.float64)) ** 2))
    power = float(np.sum(signal**2))
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(power / noise) if power > 0.0 else -math.inf
