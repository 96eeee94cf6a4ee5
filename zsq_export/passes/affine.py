"""Per-channel ``y = scale * x + shift`` and where it can be folded into a weighted op, exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.batchnorm import batchnorm_affine
from zsq_export.graph.topology import (
    constant_value,
    float_attribute,
    float_weight,
    int_attribute,
    is_default_domain,
    is_op,
    only_consumer,
    rank_of,
)
from zsq_export.passes.editing import Editor

Vector = NDArray[np.float64]
_WEIGHT, _BIAS = 1, 2
_SUFFIX = "_folded"


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine:
    """``y[:, c] = scale[c] * x[:, c] + shift[c]``; float64 [channels]."""

    scale: Vector
    shift: Vector


def output_channels(node: ir.Node) -> int | None:
    """Channels on axis 1 of the node's output if it can take a factor per channel, else None.

    MatMul and Gemm only where the output has two axes: elsewhere axis 1 is not the weight's output axis.
    """
    rule = _CHANNELS.get(node.op_type) if is_default_domain(node) else None
    return None if rule is None else rule(node)


def can_absorb(node: ir.Node | None, affine: Affine) -> bool:
    """Whether ``affine`` after the node can become part of its weight and bias, the node's output having one reader."""
    if node is None or only_consumer(node.outputs[0]) is None:
        return False
    if output_channels(node) != affine.scale.size:
        return False
    if is_op(node, "MatMul"):
        return not affine.shift.any()
    bias = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
    return bias is None or constant_value(bias) is not None


def absorb(editor: Editor, node: ir.Node, affine: Affine) -> None:
    """Multiplies the weight by ``scale`` per output channel and sets the bias to ``bias * scale + shift``.

    New initializers are made, so that a weight or bias shared with another node is not touched there. For a
    BatchNormalization, gamma is the weight and beta the bias.
    """
    weight = float_weight(node)
    assert weight is not None
    scaled = (weight * _aligned(node, affine.scale, weight)).astype(np.float32)
    _replace(editor, node, _WEIGHT, scaled, f"{node.name}.weight")
    if is_op(node, "MatMul"):
        return
    bias = constant_value(node.inputs[_BIAS]) if len(node.inputs) > _BIAS else None
    old = np.zeros(1) if bias is None else bias.astype(np.float64).reshape(-1)
    new = (old * affine.scale + affine.shift).astype(np.float32)
    _replace(editor, node, _BIAS, new, f"{node.name}.bias")


def _aligned(node: ir.Node, scale: Vector, weight: NDArray[np.float32]) -> Vector:
    """``scale`` shaped to multiply the weight along its output channels."""
    if is_op(node, "BatchNormalization"):
        return scale
    if is_op(node, "Conv"):
        return scale.reshape(-1, *[1] * (weight.ndim - 1))
    if is_op(node, "ConvTranspose"):
        groups = int_attribute(node, "group", 1)
        per_input = np.repeat(scale.reshape(groups, -1), weight.shape[0] // groups, axis=0)
        return per_input.reshape(*weight.shape[:2], *[1] * (weight.ndim - 2))
    if is_op(node, "Gemm") and int_attribute(node, "transB", 0):
        return scale.reshape(-1, 1)
    return scale.reshape(1, -1)


def _batchnorm_channels(node: ir.Node) -> int | None:
    affine = batchnorm_affine(node)
    return None if affine is None else int(affine[0].size)


def _conv_channels(node: ir.Node) -> int | None:
    weight = float_weight(node)
    return None if weight is None else int(weight.shape[0])


def _conv_transpose_channels(node: ir.Node) -> int | None:
    weight = float_weight(node)
    return None if weight is None else int(weight.shape[1]) * int_attribute(node, "group", 1)


def _matmul_channels(node: ir.Node) -> int | None:
    weight = float_weight(node)
    two_axes = weight is not None and weight.ndim == 2 and rank_of(node.outputs[0]) == 2
    return int(weight.shape[1]) if weight is not None and two_axes else None


def _gemm_channels(node: ir.Node) -> int | None:
    """None for a Gemm that was not normalised: alpha and beta other than 1, or a bias that is no row."""
    weight = float_weight(node)
    if weight is None or any(float_attribute(node, name, 1.0) != 1.0 for name in ("alpha", "beta")):
        return None
    channels = int(weight.shape[0 if int_attribute(node, "transB", 0) else 1])
    bias = constant_value(node.inputs[_BIAS]) if len(node.inputs) > _BIAS else None
    return channels if bias is None or bias.shape in ((), (1,), (channels,), (1, 1), (1, channels)) else None


def _replace(editor: Editor, node: ir.Node, index: int, array: NDArray[np.float32], fallback: str) -> None:
    old = node.inputs[index] if len(node.inputs) > index else None
    name = fallback if old is None else str(old.name).removesuffix(_SUFFIX)
    editor.set_input(node, index, editor.constant(array, f"{name}{_SUFFIX}" if old is not None else name))


_CHANNELS: dict[str, Callable[[ir.Node], int | None]] = {
    "BatchNormalization": _batchnorm_channels,
    "Conv": _conv_channels,
    "ConvTranspose": _conv_transpose_channels,
    "Gemm": _gemm_channels,
    "MatMul": _matmul_channels,
}
