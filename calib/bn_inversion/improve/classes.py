"""Improvements that ask for evidence of classes, each in another way."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SAMPLES_PER_CLASS = 4
"""Of a batch, where samples of one class are compared with each other."""


def soft_class_loss(scores: Tensor, classes: Tensor, wanted: Tensor) -> Tensor:
    """Squared gap between the probability of each sample's class and the one wanted, which differs by sample.

    Source: soft inception loss of Zhong et al., "IntraQ", CVPR 2022: samples as sure as each other are as
    alike as each other.

    Args:
        scores: [samples, classes].
        classes: int64 [samples].
        wanted: [samples], probabilities.
    """
    probability = scores.softmax(1).gather(1, classes[:, None])[:, 0]
    return ((probability - wanted) ** 2).mean()


def spread_loss(features: Tensor, classes: Tensor, nearest: float, farthest: float) -> Tensor:
    """How far samples leave the ring around their class's centre, in cosine distance.

    Source: marginal distance constraint of Zhong et al., "IntraQ", CVPR 2022.

    Args:
        features: [samples, ...] of the last layer.
        classes: int64 [samples].
        nearest, farthest: limits of the distance.
    """
    unit = functional.normalize(features.flatten(1), dim=1)
    same = (classes[:, None] == classes[None, :]).to(unit)
    centres = functional.normalize(same @ unit / same.sum(1, keepdim=True), dim=1)
    distance = 1 - (unit * centres).sum(1)
    alone = same.sum(1) < 2
    off = functional.relu(nearest - distance) + functional.relu(distance - farthest)
    return off.masked_fill(alone, 0.0).mean()


def hardness_loss(scores: Tensor, classes: Tensor, weight: float, power: float) -> Tensor:
    """Cross-entropy in which samples count the more the harder they are: ``weight * (1 - p)**power``.

    Source: Li et al., "Hard Sample Matters a Lot in Zero-Shot Quantization" (HAST), CVPR 2023.

    Args:
        scores: [samples, classes].
        classes: int64 [samples].
        weight, power: see there.
    """
    probability = scores.softmax(1).gather(1, classes[:, None])[:, 0]
    hardness = weight * (1 - probability).clamp_min(1e-6) ** power
    return (hardness * functional.cross_entropy(scores, classes, reduction="none")).mean()


def draw_classes(samples: int, classes: int, generator: torch.Generator, *, in_groups: bool) -> Tensor:
    """A class per sample: int64 [samples].

    Args:
        samples, classes: how many.
        generator: source of the choices.
        in_groups: several samples of each class that occurs.
    """
    if not in_groups:
        return torch.randint(classes, (samples,), generator=generator)
    kinds = torch.randint(classes, (max(1, samples // SAMPLES_PER_CLASS),), generator=generator)
    return kinds[torch.arange(samples) % len(kinds)]
