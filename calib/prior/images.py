"""The procedural prior: pictures with the local statistics of photographs, made from nothing but a seed."""

from __future__ import annotations

import numpy as np

from zsq_export.calib.prior.colours import channel_mixer, mean_colour
from zsq_export.calib.prior.dead_leaves import dead_leaves
from zsq_export.calib.prior.spectra import FloatImages, spectral_fields

TEXTURE_EXPONENTS = (0.6, 1.6)
SCENE_EXPONENTS = (0.9, 1.8)
SCENE_SHARE = 0.125
"""Part of the images that are pure 1/f scenes (clouds, foliage seen from afar) instead of leaves."""


def _scenes(rng: np.random.Generator, count: int, channels: int, height: int, width: int) -> FloatImages:
    """1/f images with natural colours: float32 [count, channels, height, width]."""
    fields = spectral_fields(rng, count=count * channels, height=height, width=width, alpha=SCENE_EXPONENTS)
    latent = fields.reshape(count, channels, height * width)
    mixer = channel_mixer(channels, 0.24).astype(np.float32)
    offset = mean_colour(channels) + 0.12 * rng.standard_normal((count, 1))
    return (mixer @ latent + offset[..., None].astype(np.float32)).reshape(count, channels, height, width)


def _illuminate(rng: np.random.Generator, images: FloatImages) -> FloatImages:
    """Multiplies each image by a smooth light field and adds faint sensor noise."""
    count, channels, height, width = images.shape
    light = spectral_fields(rng, count=count, height=height, width=width, alpha=(2.2, 3.0))
    strength = rng.uniform(0.0, 0.3, size=(count, 1, 1)).astype(np.float32)
    noise = rng.standard_normal((count, channels, height, width), dtype=np.float32)
    level = rng.uniform(0.0, 0.02, size=(count, 1, 1, 1)).astype(np.float32)
    return np.asarray(images * np.exp(strength * light)[:, None] + level * noise)


def natural_images(*, seed: int, count: int, channels: int, height: int, width: int) -> FloatImages:
    """Makes pictures with natural statistics, in random order of kind.

    Args:
        seed: same seed and sizes, same images.
        count: number of images.
        channels: 1 or 3 for grey or RGB pictures; any other number gives correlated planes.
        height, width: any size.

    Returns:
        float32 [count, channels, height, width] in 0..1, RGB order.
    """
    rng = np.random.default_rng(seed)
    scenes = round(count * SCENE_SHARE)
    textures = spectral_fields(rng, count=32, height=height, width=width, alpha=TEXTURE_EXPONENTS)
    leaves = dead_leaves(rng, count=count - scenes, channels=channels, height=height, width=width, textures=textures)
    images = np.concatenate([leaves, _scenes(rng, scenes, channels, height, width)])
    lit = _illuminate(rng, images[rng.permutation(count)])
    return np.clip(lit, 0.0, 1.0)
