"""From procedural pictures (or fields, where the input is no picture) to the arrays a model takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.prior.images import natural_images
from zsq_export.calib.prior.spectra import spectral_fields
from zsq_export.graph.prepared import InputInfo, PreparedModel
from zsq_export.preprocessing import ChannelOrder, Preprocessing

DEFAULT_SIDE = 224
"""Side taken for a picture whose size the model leaves open."""

SMALLEST_SIDE = 8
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PictureInput:
    """An input that takes pictures.

    Attributes:
        name: of the graph input.
        channels: 1 or 3.
        height, width: in pixels.
        channels_last: NHWC instead of NCHW.
    """

    name: str
    channels: int
    height: int
    width: int
    channels_last: bool

    def arrange(self, planes: FloatArray) -> FloatArray:
        """N×C×H×W to the model's own layout."""
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)) if self.channels_last else planes


def picture_input(info: InputInfo) -> PictureInput | None:
    """Reads an input's shape as that of a picture; None if it is none."""
    if len(info.shape) != 4:
        return None
    for channels, sides, channels_last in (
        (info.shape[1], info.shape[2:], False),
        (info.shape[3], info.shape[1:3], True),
    ):
        height, width = (side or DEFAULT_SIDE for side in sides)
        if channels in (1, 3) and min(height, width) >= SMALLEST_SIDE:
            return PictureInput(
                name=info.name, channels=channels, height=height, width=width, channels_last=channels_last
            )
    return None


def normalise(pictures: FloatArray, preprocessing: Preprocessing) -> FloatArray:
    """``(picture - mean) / std`` per plane.

    Args:
        pictures: float32 [samples, channels, height, width] in 0..1, RGB or grey.
        preprocessing: the model's convention.

    Returns:
        float32 of the same shape, planes in the model's order.
    """
    planes = pictures[:, ::-1] if preprocessing.channel_order is ChannelOrder.BGR else pictures
    mean = np.asarray(preprocessing.mean, np.float32).reshape(1, -1, 1, 1)
    std = np.asarray(preprocessing.std, np.float32).reshape(1, -1, 1, 1)
    return np.ascontiguousarray((planes - mean) / std, dtype=np.float32)


def prior_pictures(picture: PictureInput, *, seed: int, count: int) -> FloatArray:
    """Pictures of the input's size: float32 [count, channels, height, width] in 0..1, RGB or grey."""
    return natural_images(seed=seed, count=count, channels=picture.channels, height=picture.height, width=picture.width)


def field_inputs(info: InputInfo, *, seed: int, count: int) -> FloatArray:
    """Smooth random fields of unit variance for an input that is no picture: float32 [count, *shape[1:]].

    The last two axes are correlated as 1/f; vectors are white, those written as 1×1 planes too.
    """
    rng = np.random.default_rng(seed)
    sizes = [side or DEFAULT_SIDE for side in info.shape[1:]]
    if len(sizes) < 2 or sizes[-2:] == [1, 1]:
        return rng.standard_normal((count, *sizes), dtype=np.float32)
    planes = int(np.prod(sizes[:-2]))
    fields = spectral_fields(rng, count=count * planes, height=sizes[-2], width=sizes[-1], alpha=(0.4, 1.2))
    return fields.reshape(count, *sizes)


def sole_picture(model: PreparedModel) -> PictureInput | None:
    """The picture input of a model that has exactly one input and takes pictures; else None."""
    return picture_input(model.inputs[0]) if len(model.inputs) == 1 else None
