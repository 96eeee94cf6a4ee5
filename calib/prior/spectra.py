"""Random fields with the power spectrum of natural images (amplitude ~ 1 / frequency**alpha; Field 1987)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatImages = NDArray[np.float32]


def radial_frequency(height: int, width: int) -> NDArray[np.float64]:
    """Distance from the origin of the half spectrum of ``rfft2``, in cycles per image side, at least 1.

    Returns:
        float64 [height, width // 2 + 1].
    """
    rows = np.fft.fftfreq(height) * height
    columns = np.fft.rfftfreq(width) * width
    return np.asarray(np.maximum(np.hypot(rows[:, None], columns[None, :]), 1.0))


def spectral_fields(
    rng: np.random.Generator, *, count: int, height: int, width: int, alpha: tuple[float, float]
) -> FloatImages:
    """Gaussian fields whose amplitude falls as 1 / f**alpha, alpha uniform in the interval given.

    Returns:
        float32 [count, height, width]; each field has mean 0 and standard deviation 1.
    """
    frequency = radial_frequency(height, width)
    exponents = rng.uniform(*alpha, size=(count, 1, 1))
    noise = rng.standard_normal((count, height, width), dtype=np.float32)
    spectrum = np.fft.rfft2(noise) * frequency**-exponents
    spectrum[:, 0, 0] = 0.0
    fields = np.fft.irfft2(spectrum, s=(height, width))
    deviation = fields.std(axis=(1, 2), keepdims=True)
    return np.asarray(fields / np.maximum(deviation, 1e-12), np.float32)
