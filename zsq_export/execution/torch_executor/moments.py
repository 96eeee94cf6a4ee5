"""Mean and variance per channel, differentiable, at a fraction of the cost of ``torch.var``.

``torch.var`` over (0, 2, 3) of channels-last tensors took a third of the whole forward and backward pass of
MobileNetV1 on a CPU. Batch normalisation's own kernel computes the same two figures in one vectorised sweep.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_EPSILON = 1e-12


class _ChannelMoments(torch.autograd.Function):
    """Mean and biased variance over all axes but 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        _normalised, mean, inverse = torch.native_batch_norm(x, None, None, None, None, True, 0.0, _EPSILON)
        ctx.save_for_backward(x, mean)
        return mean, (inverse.square().reciprocal() - _EPSILON).clamp_(min=0.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # d mean / dx = 1 / n and d variance / dx = 2 (x - mean) / n, as one fused multiply-add.
        x, mean = ctx.saved_tensors
        to_mean, to_variance = (grad * (mean.numel() / x.numel()) for grad in grads)
        shape = (1, -1, *(1,) * (x.dim() - 2))
        slope = 2 * to_variance
        return torch.addcmul((to_mean - slope * mean).reshape(shape), x, slope.reshape(shape))


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance per channel.

    Args:
        x: float32 or float64 [samples, channels, ...]; any memory layout; at least two values per channel.

    Returns:
        Mean and variance, each [channels]; differentiable once.
    """
    mean, variance = _ChannelMoments.apply(x)  # type: ignore[no-untyped-call]
    return mean, variance
