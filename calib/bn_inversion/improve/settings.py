"""Constants of the improvements, as published."""

from __future__ import annotations

from dataclasses import dataclass

FEW_CLASSES = 100
"""Up to so many classes the papers' settings for CIFAR are taken, above those for ImageNet."""


@dataclass(frozen=True, kw_only=True)
class ImprovementSettings:
    """Hyper-parameters; each belongs to one improvement.

    Attributes:
        slack_share: of a layer's channels that noise leaves within the margin (DSG: 0.9).
        shallow_share: of the BatchNorms that count as shallow; they are relaxed, the others tightened (TexQ).
        shallow_weight, deep_weight: of their mismatch.
        smallest_crop: side of a random crop, as a share of the picture's (IntraQ: 0.5).
        nearest, farthest: limits of the cosine distance between a sample's features and their class's centre (IntraQ).
        spread_weight, soft_weight: against 1 for the BatchNorm term (IntraQ: 1).
        surest: lower limit of the probability that a sample is to have of its class (IntraQ).
        hardness_weight, hardness_power: ``weight * (1 - p)**power`` weighs the cross-entropy (HAST).
        texture_weight: against 1 for the BatchNorm term.
        cutoff: of the low-pass filter, as a share of the highest frequency (SynQ: 80 of 112 for ImageNet).
    """

    slack_share: float = 0.9
    shallow_share: float = 0.25
    shallow_weight: float = 0.2
    deep_weight: float = 1.1
    smallest_crop: float = 0.5
    nearest: float = 0.05
    farthest: float = 0.8
    spread_weight: float = 1.0
    soft_weight: float = 1.0
    surest: float = 0.95
    hardness_weight: float = 10.0
    hardness_power: float = 2.0
    texture_weight: float = 0.1
    cutoff: float = 80 / 112


CIFAR = ImprovementSettings()
IMAGENET = ImprovementSettings(nearest=0.0, farthest=2.0, surest=0.6, hardness_weight=0.1, hardness_power=0.5)


def settings_for(classes: int) -> ImprovementSettings:
    """The papers' constants for data of so many classes; 0: no classifier."""
    return IMAGENET if classes > FEW_CLASSES else CIFAR
