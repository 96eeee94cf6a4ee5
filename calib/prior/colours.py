"""Colours with the first- and second-order statistics of natural photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Mean of ImageNet pixels in 0..1, and the principal axes of their colour covariance with the relative spread along
# each (Krizhevsky et al. 2012, the constants of the "PCA lighting" augmentation in common use).
NATURAL_MEAN = np.array([0.485, 0.456, 0.406])
PRINCIPAL_AXES = np.array([[0.5675, 0.7192, 0.4009], [0.5808, -0.0045, -0.8140], [0.5836, -0.6948, 0.4203]])
PRINCIPAL_SPREAD = np.sqrt(np.array([0.2175, 0.0188, 0.0045]))


def channel_mixer(channels: int, spread: float) -> NDArray[np.float64]:
    """Matrix that turns ``channels`` independent unit variables into colour deviations.

    Args:
        channels: 3 gives natural colours; any other number gives strongly correlated planes.
        spread: standard deviation of one plane, in units of the full pixel range.

    Returns:
        float64 [channels, channels].
    """
    if channels == 3:
        mixer = PRINCIPAL_AXES * PRINCIPAL_SPREAD
    else:
        mixer = np.full((channels, channels), 0.0) + 0.2 * np.eye(channels)
        mixer[:, 0] += 1.0
    return np.asarray(spread * mixer / np.sqrt((mixer**2).sum(axis=1).mean()))


def mean_colour(channels: int) -> NDArray[np.float64]:
    """Average pixel in 0..1, float64 [channels]."""
    return NATURAL_MEAN if channels == 3 else np.full(channels, NATURAL_MEAN.mean())


def random_colours(rng: np.random.Generator, *, count: int, channels: int, spread: float) -> NDArray[np.float32]:
    """Colours of leaves: float32 [count, channels], in 0..1 before clipping.

    The luminance is drawn from a distribution wider than a Gaussian's centre (uniform), as surfaces in one scene are.
    """
    latent = rng.standard_normal((count, channels))
    latent[:, 0] = rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), size=count)
    return (mean_colour(channels) + latent @ channel_mixer(channels, spread).T).astype(np.float32)
