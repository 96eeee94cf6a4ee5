"""Where every calibrator starts: prior inputs in the model's own convention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.convention import assume_convention, detect_convention
from zsq_export.calib.conventions import value_range
from zsq_export.calib.field_scale import fit_field_scale
from zsq_export.calib.synthesis import PictureInput, field_inputs, normalise, picture_input, prior_pictures
from zsq_export.calib.tails import FIELD_TAIL_MARGIN, TAIL_MARGIN
from zsq_export.graph.prepared import InputInfo, PreparedModel
from zsq_export.preprocessing import ChannelOrder, Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class StartingPoint:
    """Inputs of one graph input, as a variable to optimise and as the model takes them.

    Attributes:
        input_name: graph input.
        variable: pictures float32 [samples, channels, height, width] in 0..1, or the inputs themselves.
        unit: what a step of an optimiser is measured in: 1 for pictures, the standard deviation of other inputs.
        picture: the input's geometry; None if it is no picture.
        preprocessing: its convention; None if it is no picture.
        value_range: smallest and largest value the input can have; None if that is not known.
        notes: what the user should know.
    """

    input_name: str
    variable: FloatArray
    unit: float = 1.0
    picture: PictureInput | None
    preprocessing: Preprocessing | None
    value_range: tuple[float, float] | None
    notes: tuple[str, ...]

    @property
    def is_picture(self) -> bool:
        """Whether the variable is bounded by 0..1."""
        return self.picture is not None

    @property
    def tail_margin(self) -> float:
        """Share by which extremes seen on these inputs are to be widened."""
        return TAIL_MARGIN if self.is_picture else FIELD_TAIL_MARGIN

    def inputs(self) -> FloatArray:
        """The arrays that the model takes: float32, axis 0 the samples."""
        if self.picture is None or self.preprocessing is None:
            return self.variable
        return self.picture.arrange(normalise(self.variable, self.preprocessing))

    def to_input(self, device: str) -> Callable[[Tensor], Tensor]:
        """The same map in PyTorch, differentiable."""
        import torch

        if self.picture is None or self.preprocessing is None:
            return lambda variable: variable
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=device).reshape(1, -1, 1, 1)
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        reverse = self.preprocessing.channel_order is ChannelOrder.BGR
        channels_last = self.picture.channels_last

        def convert(variable: Tensor) -> Tensor:
            planes = variable.flip(1) if reverse else variable
            scaled = (planes - mean) / std
            return scaled.permute(0, 2, 3, 1) if channels_last else scaled

        return convert


def starting_point(model: PreparedModel, *, seed: int, count: int, given: Preprocessing | None) -> StartingPoint:
    """Prior inputs for a model's first input.

    Args:
        model: with one float input.
        seed: of the prior.
        count: samples.
        given: the input convention if the user named it; None: detect it.
    """
    return starting_point_of(model, model.inputs[0], seed=seed, count=count, given=given)


def starting_point_of(
    model: PreparedModel, info: InputInfo, *, seed: int, count: int, given: Preprocessing | None
) -> StartingPoint:
    """Prior inputs for one of several inputs; a convention can be detected only where there is one input."""
    picture = picture_input(info)
    if picture is None:
        return _field_start(model, info, seed=seed, count=count)
    notes: tuple[str, ...] = ()
    if given is not None:
        bounds = value_range(given)
    else:
        detection = detect_convention(model, picture) if len(model.inputs) == 1 else assume_convention(model, picture)
        given, notes, bounds = detection.preprocessing, (detection.note,), detection.value_range
        if detection.unusual:
            return _field_start(model, info, seed=seed, count=count)
    return StartingPoint(
        input_name=info.name,
        variable=prior_pictures(picture, seed=seed, count=count),
        picture=picture,
        preprocessing=given,
        value_range=bounds,
        notes=notes,
    )


def _field_start(model: PreparedModel, info: InputInfo, *, seed: int, count: int) -> StartingPoint:
    fields = field_inputs(info, seed=seed, count=count)
    scale = fit_field_scale(model, info)
    return StartingPoint(
        input_name=info.name,
        variable=(scale.mean + scale.deviation * fields).astype(np.float32),
        unit=scale.deviation,
        picture=None,
        preprocessing=None,
        value_range=None,
        notes=(scale.note,),
    )
