"""Models that expect their pictures under a convention of the test's choice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx_graphs import batchnorm, node, proto, weights, write

from zsq_export.calib.convention import PROBE_SAMPLES, PROBE_SEED
from zsq_export.calib.prior.images import natural_images
from zsq_export.calib.synthesis import normalise
from zsq_export.preprocessing import Preprocessing

SIDE = 16
WIDTH = 24


def _batchnorm_constants(activation: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    mean, variance = activation.mean(axis=(0, 2, 3)), activation.var(axis=(0, 2, 3))
    ones = np.ones_like(mean)
    return {"b_0": ones, "b_1": 0 * ones, "b_2": mean, "b_3": variance}


def picture_net(
    folder: Path,
    convention: Preprocessing,
    *,
    channels: int = 3,
    side: int = SIDE,
    before: Sequence[onnx.NodeProto] = (),
    behind: Sequence[onnx.NodeProto] = (),
    constants: dict[str, NDArray[np.int64]] | None = None,
) -> Path:
    """Convolution, BatchNorm that "was trained" on such pictures, ReLU, pooling: input "x", output "y" [N, 24, 1, 1].

    Args:
        folder: where to write.
        convention: of the pictures that gave the BatchNorm its statistics.
        channels, side: of the input.
        before: nodes that compute "x_in" from "x", values unchanged.
        behind: nodes that compute "y" from "pooled".
        constants: what those nodes need.
    """
    kernel = weights(WIDTH, channels, 3, 3, seed=5)
    drawn = natural_images(seed=PROBE_SEED, count=PROBE_SAMPLES, channels=channels, height=side, width=side)
    pictures = normalise(drawn, convention)  # the probe's own: under the right convention the fit is exact
    seen = torch.nn.functional.conv2d(torch.from_numpy(pictures), torch.from_numpy(kernel), padding=1).numpy()
    nodes = [
        *before,
        node("Conv", ["x_in" if before else "x", "w"], "conv", pads=[1, 1, 1, 1]),
        batchnorm("conv", "normed", "b"),
        node("Relu", ["normed"], "relu"),
        node("GlobalAveragePool", ["relu"], "pooled" if behind else "y"),
        *behind,
    ]
    shape = ("N", channels, side, side)
    held: dict[str, NDArray[Any]] = {"w": kernel, **_batchnorm_constants(seen), **(constants or {})}
    return write(folder, proto(nodes, held, inputs={"x": shape}))


def reworked(path: Path, into: Path, *, mean: float, std: float) -> Path:
    """The digits model, made to expect ``(pixel / 255 - mean) / std`` by its first convolution and BatchNorm alone."""
    model = onnx.load(path)
    scale, offset = std / 0.5, (mean - 0.5) / 0.5
    constants = {item.name: item for item in model.graph.initializer}
    first = next(item for item in model.graph.node if item.op_type == "Conv")
    norm = next(item for item in model.graph.node if item.op_type == "BatchNormalization")
    kernel, stored = (numpy_helper.to_array(constants[name]) for name in (first.input[1], norm.input[3]))
    for name, array in (
        (first.input[1], kernel * scale),
        (norm.input[3], stored - offset * kernel.sum(axis=(1, 2, 3))),
    ):
        constants[name].CopyFrom(numpy_helper.from_array(array.astype(np.float32), name))
    onnx.save(model, into)
    return into


def channels_last(path: Path, into: Path) -> Path:
    """The same model with an N×H×W×C input."""
    model = onnx.load(path)
    entry = model.graph.input[0]
    dims = entry.type.tensor_type.shape.dim
    moved = [dims[index].dim_value for index in (2, 3, 1)]
    for index, size in enumerate(moved, start=1):
        dims[index].dim_value = size
    for item in model.graph.node:
        item.input[:] = ["x_planes" if name == entry.name else name for name in item.input]
    model.graph.node.insert(0, helper.make_node("Transpose", [entry.name], ["x_planes"], "planes", perm=[0, 3, 1, 2]))
    onnx.save(model, into)
    return into


def fixed_batch(path: Path, into: Path, batch: int) -> Path:
    """The same model for that batch size only."""
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(model, into)
    return into
