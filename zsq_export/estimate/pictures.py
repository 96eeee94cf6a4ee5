"""Pictures of another kind than the calibrators' prior, so that an estimate does not rest on one kind: facets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.prior.colours import channel_mixer, mean_colour
from zsq_export.calib.prior.spectra import spectral_fields

FloatImages = NDArray[np.float32]

FEWEST_FACETS, MOST_FACETS = 2, 48
TEXTURE_EXPONENTS = (0.8, 1.8)


def facet_pictures(*, seed: int, count: int, channels: int, height: int, width: int) -> FloatImages:
    """Voronoi cells, each with a colour, a linear shading and a 1/f texture of its own.

    Args:
        seed: same seed and sizes, same pictures.
        count: number of pictures.
        channels: 1 or 3 for grey or RGB pictures; any other number gives correlated planes.
        height, width: any size.

    Returns:
        float32 [count, channels, height, width] in 0..1, RGB order.
    """
    rng = np.random.default_rng(seed)
    textures = spectral_fields(rng, count=max(count, 1), height=height, width=width, alpha=TEXTURE_EXPONENTS)
    pictures = [_picture(rng, texture, channels) for texture in textures[:count]]
    return np.clip(np.stack(pictures), 0.0, 1.0).astype(np.float32)


def _picture(rng: np.random.Generator, texture: FloatImages, channels: int) -> FloatImages:
    height, width = texture.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    facets = round(float(np.exp(rng.uniform(np.log(FEWEST_FACETS), np.log(MOST_FACETS)))))
    nearest = _nearest(rng, rows, columns, facets)
    spread = rng.uniform(0.1, 0.35)
    colours = mean_colour(channels) + rng.standard_normal((facets, channels)) @ channel_mixer(channels, spread).T
    slopes = rng.normal(0.0, 0.25, (facets, 2)).astype(np.float32)
    strength = (rng.uniform(0.0, 0.15) * rng.exponential(size=facets)).astype(np.float32)
    shading = slopes[nearest, 0] * (rows - 0.5) + slopes[nearest, 1] * (columns - 0.5) + strength[nearest] * texture
    return np.asarray(colours[nearest].transpose(2, 0, 1) + shading, np.float32)


def _nearest(rng: np.random.Generator, rows: FloatImages, columns: FloatImages, facets: int) -> NDArray[np.intp]:
    """Index of the nearest of ``facets`` random centres for each pixel, one centre at a time to save memory."""
    centres = rng.uniform(0.0, 1.0, (facets, 2)).astype(np.float32) * (rows.max(), columns.max())
    index = np.zeros(rows.shape, np.intp)
    best = np.full(rows.shape, np.inf, np.float32)
    for number, (row, column) in enumerate(centres):
        distance = (rows - row) ** 2 + (columns - column) ** 2
        closer = distance < best
        index[closer], best[closer] = number, distance[closer]
    return index
