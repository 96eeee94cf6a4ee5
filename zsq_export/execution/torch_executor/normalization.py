"""Normalisation layers in inference mode."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator


@operator("BatchNormalization")
def _batch_norm(node: NodeView) -> Kernel:
    epsilon = node.real("epsilon", 1e-5)
    node.real("momentum")
    if node.integer("training_mode"):
        raise node.unsupported("training_mode=1 is not implemented")

    def batch_norm(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)

    return batch_norm


@operator("InstanceNormalization")
def _instance_norm(node: NodeView) -> Kernel:
    epsilon = node.real("epsilon", 1e-5)
    return lambda x, scale, bias: F.group_norm(x, x.shape[1], scale, bias, epsilon)


@operator("GroupNormalization")
def _group_norm(node: NodeView) -> Kernel:
    epsilon, groups = node.real("epsilon", 1e-5), node.integer("num_groups")
    node.integer("stash_type", 1)
    if node.opset < 21:
        # Opsets 18 to 20 scale per group (deprecated), 21 and later per channel.
        raise node.unsupported("GroupNormalization before opset 21 (per-group scale) is not implemented")
    return lambda x, scale, bias: F.group_norm(x, groups, scale, bias, epsilon)


@operator("LayerNormalization", outputs=3)
def _layer_norm(node: NodeView) -> Kernel:
    axis, epsilon = node.integer("axis", -1), node.real("epsilon", 1e-5)
    if node.integer("stash_type", 1) != 1:
        raise node.unsupported("a stash_type other than float is not implemented")

    def layer_norm(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        shape = x.shape[axis:]
        if scale.shape == shape and (bias is None or bias.shape == shape):
            return F.layer_norm(x, shape, scale, bias, epsilon)
        normalised = F.layer_norm(x, shape, None, None, epsilon) * scale
        return normalised if bias is None else normalised + bias

    def with_statistics(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        dims = list(range(axis % x.dim(), x.dim()))
        variance, mean = torch.var_mean(x.float(), dims, correction=0, keepdim=True)
        return layer_norm(x, scale, bias), mean, torch.rsqrt(variance + epsilon)

    return layer_norm if node.output_count == 1 else with_statistics


@operator("RMSNormalization")
def _rms_norm(node: NodeView) -> Kernel:
    axis, epsilon = node.integer("axis", -1), node.real("epsilon", 1e-5)
    if node.integer("stash_type", 1) != 1:
        raise node.unsupported("a stash_type other than float is not implemented")

    def rms_norm(x: Tensor, scale: Tensor) -> Tensor:
        dims = list(range(axis % x.dim(), x.dim()))
        return x * torch.rsqrt(x.square().mean(dims, keepdim=True) + epsilon) * scale

    return rms_norm


@operator("LpNormalization")
def _lp_normalization(node: NodeView) -> Kernel:
    axis, order = node.integer("axis", -1), node.integer("p", 2)

    def lp_normalization(x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, order, axis, keepdim=True)
        return torch.where(norm == 0, torch.zeros_like(x), x / norm)

    return lp_normalization


@operator("MeanVarianceNormalization")
def _mean_variance_normalization(node: NodeView) -> Kernel:
    axes = node.ints("axes") or [0, 2, 3]

    def normalise(x: Tensor) -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        return centred / (centred.square().mean(axes, keepdim=True).sqrt() + 1e-9)

    return normalise


@operator("LRN")
def _lrn(node: NodeView) -> Kernel:
    size, alpha = node.integer("size"), node.real("alpha", 1e-4)
    beta, bias = node.real("beta", 0.75), node.real("bias", 1.0)
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2

    def lrn(x: Tensor) -> Tensor:
        squares = F.pad(x.square().flatten(2).transpose(1, 2), (before, after))
        sums = squares.unfold(2, size, 1).sum(-1).transpose(1, 2).reshape(x.shape)
        return x / torch.pow(bias + alpha / size * sums, beta)

    return lrn
