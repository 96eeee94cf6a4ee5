"""The improvements that add to the loss, as terms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zsq_export.calib.bn_inversion.improve.classes import hardness_loss, soft_class_loss, spread_loss
from zsq_export.calib.bn_inversion.improve.pictures import texture_loss
from zsq_export.calib.bn_inversion.terms import Seen
from zsq_export.calib.improvement import Improvement


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Samples of a class are neither alike nor strangers."""

    features: str
    nearest: float
    farthest: float
    weight: float
    name: str = Improvement.SPREAD.value

    def __call__(self, seen: Seen) -> Tensor:
        """Mean distance beyond the limits."""
        assert seen.classes is not None
        return spread_loss(seen.taps[self.features], seen.classes, self.nearest, self.farthest)


@dataclass(frozen=True, kw_only=True)
class SoftClasses:
    """Each sample is as sure of its class as was drawn for it."""

    surest: float
    weight: float
    name: str = Improvement.SOFT_CLASSES.value

    def __call__(self, seen: Seen) -> Tensor:
        """Squared gap; the probabilities wanted are spread evenly over the batch, so that every step wants the same."""
        assert seen.scores is not None and seen.classes is not None
        wanted = torch.linspace(self.surest, 1.0, len(seen.scores), device=seen.scores.device)
        return soft_class_loss(seen.scores, seen.classes, wanted)


@dataclass(frozen=True, kw_only=True)
class Hardness:
    """Hard samples count more."""

    power: float
    weight: float
    name: str = Improvement.HARDNESS.value

    def __call__(self, seen: Seen) -> Tensor:
        """Weighed cross-entropy."""
        assert seen.scores is not None and seen.classes is not None
        return hardness_loss(seen.scores, seen.classes, 1.0, self.power)


@dataclass(frozen=True, kw_only=True, eq=False)
class Texture:
    """Texture energies are those of natural pictures."""

    energies: Tensor
    weight: float
    name: str = Improvement.TEXTURE.value

    def __call__(self, seen: Seen) -> Tensor:
        """Squared gaps of their means and deviations."""
        return texture_loss(seen.sought, self.energies)
