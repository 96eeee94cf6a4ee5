"""Dead leaves: opaque shapes of scale-free size that occlude each other (Lee, Mumford, Huang 2001).

Occlusion gives the edges, flat regions and heavy-tailed contrasts of photographs, which Gaussian fields lack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.prior.colours import random_colours
from zsq_export.calib.prior.spectra import FloatImages

ROUNDNESS = (1.0, 2.0, 2.0, 4.0, 12.0)
"""Exponents of the super-ellipses: diamond, ellipse (twice as often), rounded square, rectangle."""


@dataclass(frozen=True, kw_only=True)
class LeafStyle:
    """What the leaves of one image look like.

    Attributes:
        smallest, largest: radius limits as fractions of the image side.
        exponent: of the radius density r**-exponent; 3 is scale-invariant.
        leaves: shapes per image.
        spread: standard deviation of the leaf colours.
        texture: standard deviation of the texture on a leaf.
    """

    smallest: float
    largest: float
    exponent: float
    leaves: int
    spread: float
    texture: float


def random_style(rng: np.random.Generator) -> LeafStyle:
    """A style as different from image to image as photographs are: bare or cluttered, faint or stark.

    The variety matters more than the mean: the tails of late activations come from a few unusual images.
    """
    return LeafStyle(
        smallest=float(rng.uniform(0.02, 0.08)),
        largest=float(rng.uniform(0.3, 0.7)),
        exponent=float(rng.uniform(2.0, 3.5)),
        leaves=round(float(np.exp(rng.uniform(np.log(5), np.log(300))))),
        spread=float(rng.uniform(0.12, 0.4)),
        texture=float(rng.uniform(0.0, 0.2)),
    )


def leaf_radii(rng: np.random.Generator, count: int, style: LeafStyle) -> NDArray[np.float64]:
    """Radii by inverse transform of the truncated power law, largest first so that small leaves stay visible."""
    power = 1.0 - style.exponent
    low, high = style.smallest**power, style.largest**power
    radii = (low + rng.uniform(size=count) * (high - low)) ** (1.0 / power)
    shuffled = radii[np.argsort(-radii * rng.uniform(0.5, 1.0, size=count))]
    return np.asarray(shuffled)


def _leaf_mask(
    rows: NDArray[np.float32], columns: NDArray[np.float32], radius: float, shape: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Rotated super-ellipse: exponent 2 is an ellipse, large exponents a rectangle, 1 a diamond."""
    angle, aspect, roundness = shape
    cosine, sine = np.cos(angle), np.sin(angle)
    along = np.abs(columns * cosine + rows * sine) / radius
    across = np.abs(rows * cosine - columns * sine) / (radius * aspect)
    return np.asarray(along**roundness + across**roundness <= 1.0)


def _paint(
    image: FloatImages, leaf: FloatImages, centre: NDArray[np.float64], radius: float, shape: NDArray[np.float64]
) -> None:
    """Paints one leaf onto image [channels, height, width] in place."""
    height, width = image.shape[1:]
    reach = radius * 1.3
    top, bottom = max(0, int(centre[0] - reach)), min(height, int(centre[0] + reach) + 2)
    left, right = max(0, int(centre[1] - reach)), min(width, int(centre[1] + reach) + 2)
    if top >= bottom or left >= right:
        return
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(centre[0])
    columns = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(centre[1])
    mask = _leaf_mask(rows, columns, radius, shape)
    window = image[:, top:bottom, left:right]
    np.copyto(window, leaf[:, top:bottom, left:right], where=mask)


def _paint_scene(rng: np.random.Generator, image: FloatImages, textures: FloatImages, style: LeafStyle) -> None:
    """Covers one image [channels, height, width] with leaves, in place."""
    channels, height, width = image.shape
    count = style.leaves
    colours = random_colours(rng, count=count + 1, channels=channels, spread=style.spread)
    radii = leaf_radii(rng, count, style) * max(height, width)
    centres = rng.uniform(-0.1, 1.1, size=(count, 2)) * (height, width)
    angles, aspects = rng.uniform(0, np.pi, count), rng.uniform(0.3, 1.0, count)
    shapes = np.stack([angles, aspects, rng.choice(ROUNDNESS, count)], axis=1)
    strength = style.texture * rng.exponential(size=count + 1).astype(np.float32)
    picks = rng.integers(len(textures), size=count + 1)
    image[:] = colours[-1][:, None, None] + strength[-1] * textures[picks[-1]][None]
    for index in range(count):
        leaf = colours[index][:, None, None] + strength[index] * textures[picks[index]][None]
        _paint(image, leaf, centres[index], max(radii[index], 0.7), shapes[index])


def dead_leaves(
    rng: np.random.Generator, *, count: int, channels: int, height: int, width: int, textures: FloatImages
) -> FloatImages:
    """Images of leaves, each leaf one colour plus texture, each image in a style of its own.

    Args:
        rng: source of every choice.
        count, channels, height, width: size of the result.
        textures: float32 [n, height, width] with unit variance; each leaf takes one.

    Returns:
        float32 [count, channels, height, width], roughly 0..1, not clipped.
    """
    images = np.empty((count, channels, height, width), dtype=np.float32)
    for image in images:
        _paint_scene(rng, image, textures, random_style(rng))
    return images
