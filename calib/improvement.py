"""The published improvements of BatchNorm inversion that a user can switch on, alone or together."""

from __future__ import annotations

from enum import StrEnum


class Improvement(StrEnum):
    """Each changes one thing: where the inputs start, how they are seen, or what they have to achieve."""

    PLAIN = "plain"
    SLACK = "slack"
    LAYERED = "layered"
    CROPS = "crops"
    SPREAD = "spread"
    SOFT_CLASSES = "soft-classes"
    HARDNESS = "hardness"
    TEXTURE = "texture"
    LOW_PASS = "low-pass"
