"""From the improvements that were asked for to what an inversion does differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zsq_export.calib.bn_inversion.class_scores import class_count, class_scores, last_features
from zsq_export.calib.bn_inversion.improve.pictures import Transform, low_pass, random_crops, texture_energies
from zsq_export.calib.bn_inversion.improve.settings import ImprovementSettings, settings_for
from zsq_export.calib.bn_inversion.improve.statistics import with_layer_weights, with_slack
from zsq_export.calib.bn_inversion.improve.terms import Hardness, SoftClasses, Spread, Texture
from zsq_export.calib.bn_inversion.objective import NormTarget
from zsq_export.calib.bn_inversion.terms import Term
from zsq_export.calib.improvement import Improvement
from zsq_export.calib.starting_point import StartingPoint
from zsq_export.calib.synthesis import sole_picture
from zsq_export.errors import CalibrationError
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.graph.prepared import PreparedModel

NOISE_MEAN, NOISE_DEVIATION = 0.45, 0.26
"""Of the noise that stands for pictures, in 0..1: those of photographs."""

_NEED_PICTURES = frozenset({Improvement.CROPS, Improvement.TEXTURE, Improvement.LOW_PASS})
_NEED_CLASSES = frozenset({Improvement.SPREAD, Improvement.SOFT_CLASSES, Improvement.HARDNESS})
_NOISE_SAMPLES = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """What is done differently; nothing without improvements.

    Attributes:
        improvements: asked for, in the enumeration's order.
        settings: their constants.
        generator: source of their random choices.
    """

    improvements: tuple[Improvement, ...]
    settings: ImprovementSettings
    generator: torch.Generator

    def __contains__(self, improvement: Improvement) -> bool:
        """Whether it was asked for."""
        return improvement in self.improvements

    @property
    def needs_classes(self) -> bool:
        """Whether every sample is to show a class."""
        return bool(_NEED_CLASSES.intersection(self.improvements))

    def start(self, start: StartingPoint, seed: int) -> StartingPoint:
        """Where the inputs start: noise where the plain method is asked for."""
        if Improvement.PLAIN not in self:
            return start
        noise = np.random.default_rng(seed).standard_normal(start.variable.shape, dtype=np.float32)
        made = np.clip(NOISE_MEAN + NOISE_DEVIATION * noise, 0, 1) if start.is_picture else start.unit * noise
        return replace(start, variable=made.astype(np.float32))

    def targets(
        self, targets: tuple[NormTarget, ...], executor: TorchExecutor, start: StartingPoint, device: str
    ) -> tuple[NormTarget, ...]:
        """The statistics to meet, with their margins and weights."""
        if Improvement.SLACK in self:
            noise = Recipe.start(replace(self, improvements=(Improvement.PLAIN,)), start, seed=0)
            variable = torch.from_numpy(noise.variable[:_NOISE_SAMPLES]).to(device)
            names = [target.input_name for target in targets]
            with torch.no_grad():
                taps = executor({start.input_name: start.to_input(device)(variable)}, taps=names).taps
            targets = with_slack(targets, taps, self.settings.slack_share)
        if Improvement.LAYERED in self:
            own = self.settings
            targets = with_layer_weights(targets, own.shallow_share, own.shallow_weight, own.deep_weight)
        return targets

    def lasting(self) -> Transform | None:
        """Between the variable and the model's input, at every step and at the end."""
        return low_pass(self.settings.cutoff) if Improvement.LOW_PASS in self else None

    def passing(self) -> Transform | None:
        """The same at every step only."""
        return random_crops(self.settings.smallest_crop, self.generator) if Improvement.CROPS in self else None

    def terms(self, model: PreparedModel, start: StartingPoint, device: str) -> tuple[Term, ...]:
        """Further addends of the loss."""
        own = self.settings
        makers: dict[Improvement, Callable[[], Term]] = {
            Improvement.SPREAD: lambda: Spread(
                features=last_features(model), nearest=own.nearest, farthest=own.farthest, weight=own.spread_weight
            ),
            Improvement.SOFT_CLASSES: lambda: SoftClasses(surest=own.surest, weight=own.soft_weight),
            Improvement.HARDNESS: lambda: Hardness(power=own.hardness_power, weight=own.hardness_weight),
            Improvement.TEXTURE: lambda: Texture(energies=_energies(start, device), weight=own.texture_weight),
        }
        return tuple(makers[improvement]() for improvement in self.improvements if improvement in makers)

    def described(self) -> tuple[tuple[str, str], ...]:
        """For the provenance; empty without improvements."""
        return (("improvements", " ".join(self.improvements)),) if self.improvements else ()


def _energies(start: StartingPoint, device: str) -> Tensor:
    return texture_energies(torch.from_numpy(start.variable).to(device))


def recipe_for(model: PreparedModel, improvements: tuple[Improvement, ...], seed: int) -> Recipe:
    """Checks that the model has what the improvements need.

    Raises:
        CalibrationError: it has not; the message names the improvement.
    """
    wanted = tuple(improvement for improvement in Improvement if improvement in improvements)
    for improvement in wanted:
        if improvement in _NEED_PICTURES and sole_picture(model) is None:
            raise CalibrationError(
                f"improvement {improvement} changes pictures, and the model does not take exactly one",
                hint=f"leave --improve {improvement} out",
            )
        if improvement in _NEED_CLASSES and class_scores(model) is None:
            raise CalibrationError(
                f"improvement {improvement} needs class scores, and the model gives none",
                hint=f"leave --improve {improvement} out",
            )
    return Recipe(
        improvements=wanted,
        settings=settings_for(class_count(model)),
        generator=torch.Generator().manual_seed(seed),
    )
