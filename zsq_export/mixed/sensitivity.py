"""What each layer's weight costs in accuracy at each width, measured on synthetic inputs: no data, no labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsq_export.errors import PlanError
from zsq_export.execution.torch_executor.segments import Patches, SegmentedExecutor
from zsq_export.graph.topology import constant_value, weight_axis
from zsq_export.quantization.dtypes import QuantSpec
from zsq_export.quantization.estimators import RangeEstimator
from zsq_export.quantization.linear import fake_quantize
from zsq_export.quantization.weights import weight_qparams

LARGEST_SAMPLES = 16
_WEIGHT_SLOT = 1


def sensitivities(
    model: ir.Model,
    layers: Mapping[str, QuantSpec],
    widths: Sequence[int],
    inputs: Mapping[str, NDArray[np.float32]],
    progress: Callable[[float], None] = lambda _done: None,
) -> dict[str, tuple[float, ...]]:
    """Relative squared error of the model's outputs with one weight quantized and everything else float.

    The measure of ZeroQ (Cai et al., CVPR 2020, section 3.2), with the squared error of any outputs in the place of the
    divergence of class probabilities. Errors of several layers are taken to add up.

    Args:
        model: the folded float model.
        layers: weighted node -> type of its weight.
        widths: bits to try.
        inputs: synthetic ones; the first 16 samples are used.
        progress: called with the share done.

    Returns:
        Node -> one figure per width.

    Raises:
        PlanError: there are no inputs.
    """
    if not inputs:
        raise PlanError(
            "mixed precision needs inputs to measure layers on, and this calibration holds none",
            hint="use --calibrator auto, prior or generator",
        )
    executor = SegmentedExecutor(model)
    feeds = {name: torch.from_numpy(array[:LARGEST_SAMPLES].copy()) for name, array in inputs.items()}
    exact = _outputs(executor, model, feeds, {})
    nodes = {node.name or "": node for node in model.graph}
    found = {}
    for number, (name, spec) in enumerate(layers.items()):
        node = nodes[name]
        weight, axis = constant_value(node.inputs[_WEIGHT_SLOT]), weight_axis(node)
        assert weight is not None
        costs = []
        for width in widths:
            narrow = spec.with_width(width)
            estimator = RangeEstimator.MIN_MAX if width >= spec.width else RangeEstimator.MSE
            rounded = torch.from_numpy(fake_quantize(weight, weight_qparams(weight, narrow, axis, estimator)))
            costs.append(_error(exact, _outputs(executor, model, feeds, {(name, _WEIGHT_SLOT): _fixed(rounded)})))
        found[name] = tuple(costs)
        progress((number + 1) / len(layers))
    return found


def _outputs(
    executor: SegmentedExecutor, model: ir.Model, feeds: Mapping[str, Tensor], patches: Patches
) -> dict[str, Tensor]:
    whole = executor.whole([value.name or "" for value in model.graph.outputs])
    with torch.no_grad():
        return executor.run(whole, feeds, patches)


def _error(exact: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    parts = [
        float((found[name] - tensor).square().sum() / tensor.square().sum().clamp_min(1e-12))
        for name, tensor in exact.items()
        if tensor.dtype.is_floating_point
    ]
    return sum(parts) / max(len(parts), 1)


def _fixed(tensor: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda _value: tensor
