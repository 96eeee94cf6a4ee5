"""Activation functions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator, simple

simple("Relu", torch.relu)
simple("Sigmoid", torch.sigmoid)
simple("Softplus", F.softplus)
simple("Softsign", F.softsign)
simple("HardSwish", F.hardswish)
simple("Mish", F.mish)


@operator("Clip")
def _clip(node: NodeView) -> Kernel:
    bounds = [node.constant(i) if node.has(i) else None for i in (1, 2)]
    if any(node.has(i) and bounds[i - 1] is None for i in (1, 2)):
        return _clip_dynamic
    low, high = (None if bound is None else bound.reshape(()).item() for bound in bounds)
    if low is None and high is None:
        return lambda x, *_bounds: x
    if low is not None and high is not None and low < high and math.isfinite(low) and math.isfinite(high):
        return _finite_clip(low, high)
    return lambda x, *_bounds: torch.clamp(x, low, high)


def _finite_clip(low: float, high: float) -> Kernel:
    def clip(x: Tensor, *_bounds: Tensor | None) -> Tensor:
        # hardtanh is clamp with a cheaper backward; it has no integer kernel.
        return F.hardtanh(x, low, high) if x.dtype.is_floating_point else torch.clamp(x, low, high)

    return clip


def _clip_dynamic(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    # In this order the upper bound wins where low > high, as ONNX says.
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


@operator("LeakyRelu")
def _leaky_relu(node: NodeView) -> Kernel:
    alpha = node.real("alpha", 0.01)
    return lambda x: F.leaky_relu(x, alpha)


@operator("PRelu")
def _prelu(_node: NodeView) -> Kernel:
    return lambda x, slope: torch.where(x < 0, x * slope, x)


@operator("Elu")
def _elu(node: NodeView) -> Kernel:
    alpha = node.real("alpha", 1.0)
    return lambda x: F.elu(x, alpha)


@operator("Celu")
def _celu(node: NodeView) -> Kernel:
    alpha = node.real("alpha", 1.0)
    return lambda x: F.celu(x, alpha)


@operator("Selu")
def _selu(node: NodeView) -> Kernel:
    alpha, gamma = node.real("alpha", 1.67326319217681884765625), node.real("gamma", 1.05070102214813232421875)
    return lambda x: gamma * F.elu(x, alpha)


@operator("ThresholdedRelu")
def _thresholded_relu(node: NodeView) -> Kernel:
    alpha = node.real("alpha", 1.0)
    return lambda x: torch.where(x > alpha, x, torch.zeros_like(x))


@operator("Shrink")
def _shrink(node: NodeView) -> Kernel:
    bias, threshold = node.real("bias"), node.real("lambd", 0.5)

    def shrink(x: Tensor) -> Tensor:
        return torch.where(x < -threshold, x + bias, torch.where(x > threshold, x - bias, torch.zeros_like(x)))

    return shrink


@operator("HardSigmoid")
def _hard_sigmoid(node: NodeView) -> Kernel:
    alpha, beta = node.real("alpha", 0.2), node.real("beta", 0.5)
    return lambda x: torch.clamp(alpha * x + beta, 0.0, 1.0)


@operator("Gelu")
def _gelu(node: NodeView) -> Kernel:
    approximate = node.choice("approximate", "none", ("none", "tanh"))
    return lambda x: F.gelu(x, approximate=approximate)


@operator("Swish")
def _swish(node: NodeView) -> Kernel:
    alpha = node.real("alpha", 1.0)
    return F.silu if alpha == 1.0 else lambda x: x * torch.sigmoid(alpha * x)


@operator("Softmax")
def _softmax(node: NodeView) -> Kernel:
    axis = node.integer("axis", -1)
    return lambda x: torch.softmax(x, axis)


@operator("LogSoftmax")
def _log_softmax(node: NodeView) -> Kernel:
    axis = node.integer("axis", -1)
    return lambda x: torch.log_softmax(x, axis)


@operator("Hardmax")
def _hardmax(node: NodeView) -> Kernel:
    axis = node.integer("axis", -1)

    def hardmax(x: Tensor) -> Tensor:
        first = x.argmax(axis, keepdim=True)
        return torch.zeros_like(x).scatter(axis, first, 1)

    return hardmax
