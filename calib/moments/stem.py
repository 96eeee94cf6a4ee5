"""The input convention from the first layer's weights alone: no picture is drawn, none is run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.calib.convention import Detection, choose_convention
from zsq_export.calib.first_layer import batchnorm_mismatch, first_batchnorms
from zsq_export.calib.synthesis import PictureInput
from zsq_export.graph.prepared import BatchNormStatistics, PreparedModel
from zsq_export.graph.topology import constant_value, float_weight, int_attribute, is_op
from zsq_export.preprocessing import ChannelOrder, Preprocessing

Array = NDArray[np.float64]

PHOTO_MEANS = (0.47, 0.45, 0.41)
"""Of red, green and blue in photographs, in 0..1 (between ImageNet's and CIFAR-10's)."""

PHOTO_MEAN, PHOTO_DEVIATION = 0.45, 0.26
"""Of photographs, in 0..1 (ImageNet's channel means are 0.41 to 0.49, its deviations 0.22 to 0.29 over pixels)."""

PLANE_CORRELATION = 0.85
REACH, DECAY = 0.1, 0.8
"""Pixels at a distance of ``d`` sides correlate by ``exp(-(d / REACH)**DECAY)``: 0.92 between neighbours at 224 pixels,
where the procedural prior's pictures have 0.91."""

CLEAR = 0.5
"""Mismatch up to which the first BatchNorm is explained; beyond it pictures have to decide."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stem:
    """The convolution that reads the input, and the BatchNorm behind it."""

    kernels: NDArray[np.float32]
    bias: NDArray[np.float32] | float
    norm: BatchNormStatistics


def derive_convention(model: PreparedModel, picture: PictureInput) -> Detection | None:
    """The usual convention under which photographs give the first BatchNorm its mean and variance.

    A convolution is linear: from the mean and the covariance of photographs' patches follow those of its output.
    Padding is neglected.

    Returns:
        None where the first BatchNorm is not that of a convolution of the input, or no convention explains it.
    """
    stem = _stem(model, picture)
    if stem is None:
        return None
    found = choose_convention(picture, lambda convention: _mismatch(stem, picture, convention))
    return found if found.mismatch <= CLEAR else None


def _mismatch(stem: _Stem, picture: PictureInput, convention: Preprocessing) -> float:
    planes, size = picture.channels, stem.kernels[0, 0].size
    photo = np.asarray(PHOTO_MEANS if planes == 3 else (PHOTO_MEAN,))
    photo = photo[::-1] if convention.channel_order is ChannelOrder.BGR else photo
    shift, scale = (np.resize(np.asarray(part, np.float64), planes) for part in (convention.mean, convention.std))
    rows = stem.kernels.reshape(len(stem.kernels), -1).astype(np.float64)
    scaled = rows / np.repeat(scale, size)
    mean = rows @ np.repeat((photo - shift) / scale, size) + stem.bias
    covariance = _patches(planes, stem.kernels.shape[2], stem.kernels.shape[3], picture.height)
    deviation = np.sqrt(np.einsum("oi,ij,oj->o", scaled, covariance, scaled))
    return batchnorm_mismatch(stem.norm, (mean.astype(np.float32), deviation.astype(np.float32)))


def _patches(planes: int, height: int, width: int, side: int) -> Array:
    """Covariance of the pixels of photographs' patches: [planes * height * width] squared."""
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).reshape(-1, 2)
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1) / side
    between = np.full((planes, planes), PLANE_CORRELATION) + (1 - PLANE_CORRELATION) * np.eye(planes)
    found: Array = PHOTO_DEVIATION**2 * np.kron(between, np.exp(-((distance / REACH) ** DECAY)))
    return found


def _stem(model: PreparedModel, picture: PictureInput) -> _Stem | None:
    norms = first_batchnorms(model)
    if len(norms) != 1:
        return None
    node = next((n for n in model.with_batchnorm.graph if n.outputs[0].name == norms[0].input_name), None)
    if node is None or not _reads_input(node, picture):
        return None
    kernels = float_weight(node)
    bias = constant_value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.float32(0)
    if kernels is None or bias is None or kernels.ndim != 4:
        return None
    return _Stem(kernels=kernels, bias=np.asarray(bias, np.float32), norm=norms[0])


def _reads_input(node: ir.Node, picture: PictureInput) -> bool:
    source = node.inputs[0]
    grouped = int_attribute(node, "group", 1) != 1
    return is_op(node, "Conv") and source is not None and source.name == picture.name and not grouped
