"""Improvements that change how pictures are seen, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

Transform = Callable[[Tensor], Tensor]

_LAWS = {
    "level": (1.0, 4.0, 6.0, 4.0, 1.0),
    "edge": (-1.0, -2.0, 0.0, 2.0, 1.0),
    "spot": (-1.0, 0.0, 2.0, 0.0, -1.0),
    "wave": (-1.0, 2.0, 0.0, -2.0, 1.0),
    "ripple": (1.0, -4.0, 6.0, -4.0, 1.0),
}
"""Vectors whose outer products are Laws' texture filters (Laws, "Textured Image Segmentation", 1980)."""


def random_crops(smallest: float, generator: torch.Generator) -> Transform:
    """Every other call shows a random part, resized to the whole, perhaps mirrored: objects of any size and place.

    Source: local object reinforcement of Zhong et al., "IntraQ", CVPR 2022.

    Args:
        smallest: side of a crop, as a share of the picture's.
        generator: source of the choices.
    """

    def transform(pictures: Tensor) -> Tensor:
        draw = torch.rand(4, generator=generator).tolist()
        height, width = pictures.shape[2:]
        if draw[0] < 0.5:
            share = smallest + (1 - smallest) * draw[1]
            tall, wide = max(1, round(share * height)), max(1, round(share * width))
            top, left = int(draw[2] * (height - tall + 1)), int(draw[3] * (width - wide + 1))
            part = pictures[:, :, top : top + tall, left : left + wide]
            pictures = functional.interpolate(part, (height, width), mode="bilinear", align_corners=False)
        mirrored = float(torch.rand((), generator=generator)) < 0.5
        return pictures.flip(3) if mirrored else pictures

    return transform


def low_pass(cutoff: float) -> Transform:
    """A Gaussian low-pass filter: inverted pictures hold more high frequencies than real ones.

    Source: Kim et al., "SynQ", ICLR 2025: ``exp(-D**2 / (2 * D0**2))`` in the frequency domain.

    Args:
        cutoff: D0, as a share of the highest frequency.
    """

    def transform(pictures: Tensor) -> Tensor:
        rows = torch.fft.fftfreq(pictures.shape[2], 0.5, device=pictures.device)
        columns = torch.fft.rfftfreq(pictures.shape[3], 0.5, device=pictures.device)
        distance = rows[:, None] ** 2 + columns[None, :] ** 2
        spectrum = torch.fft.rfft2(pictures) * torch.exp(-distance / (2 * cutoff**2))
        filtered: Tensor = torch.fft.irfft2(spectrum, s=pictures.shape[2:])
        return filtered

    return transform


def texture_energies(pictures: Tensor) -> Tensor:
    """Logarithm of the mean absolute response to each of Laws' 24 filters that sum to zero.

    Args:
        pictures: float32 [samples, channels, height, width]; channels are averaged.

    Returns:
        [samples, 24].
    """
    names = [pair for pair in product(_LAWS, _LAWS) if pair != ("level", "level")]
    kernels = torch.stack([torch.outer(*(torch.tensor(_LAWS[name]) for name in pair)) for pair in names])
    grey = functional.pad(pictures.mean(1, keepdim=True), [2, 2, 2, 2], mode="reflect")
    responses = functional.conv2d(grey, kernels[:, None].to(pictures))
    return torch.log(responses.abs().mean((2, 3)) + math.exp(-12))


def texture_loss(pictures: Tensor, energies: Tensor) -> Tensor:
    """How far the distribution of texture energies is from the one wanted: squared gaps of means and deviations.

    Source: texture feature energy distribution calibration of Chen et al., "TexQ", NeurIPS 2023. There the wanted
    distribution is assumed; here it is that of the procedural prior.

    Args:
        pictures: [samples, channels, height, width].
        energies: [samples, 24], of pictures that look as they should.
    """
    found = texture_energies(pictures)
    gap = (found.mean(0) - energies.mean(0)) ** 2
    if len(found) > 1 and len(energies) > 1:
        gap = gap + (found.std(0) - energies.std(0)) ** 2
    return gap.mean()
