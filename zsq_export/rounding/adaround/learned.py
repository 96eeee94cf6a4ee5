"""The learned parts of a quantized layer: rounding and scale of a weight, step of an activation, shift of a bias.

Sources: AdaRound (Nagel et al., ICML 2020) for learning the rounding on the output; LSQ (Esser et al., ICLR 2020) for
activation steps; jointly learned weight scales as in Genie (Jeon et al., CVPR 2023).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zsq_export.quantization.qparams import QParams

_LARGEST_LOG_SCALE = 0.7
_SPARE = 2**20

_INSIDE = 0.49
"""Distance from an integer at which a weight still is rounded to it."""


def along(values: tuple[float, ...] | tuple[int, ...], axis: int | None, like: Tensor) -> Tensor:
    """Per-channel numbers shaped so that they broadcast against ``like``."""
    shape = [1] * like.dim()
    if axis is not None:
        shape[axis] = len(values)
    return torch.tensor(values, dtype=torch.float32, device=like.device).reshape(shape)


class RoundedWeight:
    """A weight on the grid whose rounding is learned: ``scale * clip(round(w / scale + offset))``.

    The offset is what AdaRound's h is to the nearest integer; gradients pass the rounding straight, so that every step
    of the descent sees the integers that the runtime will see. (Soft roundings that harden at the end, as published,
    need thousands of steps: measured on the tests' residual net, 150 steps leave 2.6 times the error.)
    """

    def __init__(self, weight: Tensor, qparams: QParams, reach: float, start: Tensor | None = None) -> None:
        self.qparams = qparams
        self._reach = reach
        self._initial = along(qparams.scale, qparams.axis, weight)
        zero_point = along(qparams.zero_point, qparams.axis, weight)
        low, high = qparams.limits
        self._low, self._high = low - zero_point, high - zero_point
        steps = weight / self._initial
        if start is not None:
            centre = start.to(steps) - zero_point
            steps = torch.minimum(torch.maximum(steps, centre - _INSIDE), centre + _INSIDE)
        self._steps = steps
        self.offset = torch.zeros_like(self._steps).requires_grad_()
        self.log_scale = torch.zeros_like(self._initial).requires_grad_()

    def weight(self) -> Tensor:
        """The weight that the layer computes with."""
        return self._rounded() * self._scale()

    def integers(self) -> Tensor:
        """With the zero point."""
        return self._rounded().detach() + along(self.qparams.zero_point, self.qparams.axis, self._steps)

    def scales(self) -> tuple[float, ...]:
        """Learned scales."""
        return tuple(float(s) for s in self._scale().detach().reshape(-1).cpu())

    def _rounded(self) -> Tensor:
        steps = self._steps + self.offset.clamp(-self._reach, self._reach)
        limited = torch.minimum(torch.maximum(steps, self._low), self._high)
        return limited + (limited.round() - limited).detach()

    def _scale(self) -> Tensor:
        return self._initial * self.log_scale.clamp(-_LARGEST_LOG_SCALE, _LARGEST_LOG_SCALE).exp()


class LearnedStep:
    """An activation's quantizer with a learned scale; gradients pass the rounding straight."""

    def __init__(self, qparams: QParams, device: torch.device) -> None:
        self._initial = qparams.scale[0]
        self._zero_point = float(qparams.zero_point[0])
        self._low, self._high = qparams.limits
        self.log_scale = torch.zeros((), device=device).requires_grad_()

    def scale(self) -> Tensor:
        """0-d."""
        return self._initial * self.log_scale.clamp(-_LARGEST_LOG_SCALE, _LARGEST_LOG_SCALE).exp()

    def quantized(self, value: Tensor, mask: Tensor | None) -> Tensor:
        """Fake-quantized; elements whose mask is 0 stay as they are."""
        limits = (self._low - self._zero_point, self._high - self._zero_point)
        result: Tensor = _FakeQuantize.apply(value, self.scale(), limits, mask)  # type: ignore[no-untyped-call]
        return result


class _FakeQuantize(torch.autograd.Function):
    """Rounds and clips. A gradient of its own makes it twice as fast as the same made of tensor operations."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: Tensor, limits: tuple[float, float], mask: Tensor | None) -> Tensor:
        steps = value / scale
        kept = steps.clamp(*limits)
        outside = (steps != kept).to(value.dtype)
        quantized = kept.round_().mul_(scale)
        ctx.save_for_backward(value, scale, quantized, outside, mask)
        return quantized if mask is None else torch.lerp(value, quantized, mask)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """LSQ: values inside the limits pass their gradient on; the scale gets error / scale, or the limit."""
        value, scale, quantized, outside, mask = ctx.saved_tensors
        gradient = gradients[0] if mask is None else gradients[0] * mask
        clipped = gradient * outside
        by_scale = (gradient * (quantized - value) + clipped * value).sum() / scale
        return gradients[0] - clipped, by_scale, None, None


class MaskPool:
    """Random masks, cut from one long row of zeros and ones: drawing them anew would take longer than a convolution.

    Args:
        share: of zeros.
        device: of the masks.
    """

    def __init__(self, share: float, device: torch.device) -> None:
        self._share = share
        self._pool = torch.zeros(0, device=device)

    def mask(self, like: Tensor) -> Tensor:
        """A mask of the shape and memory layout of ``like``."""
        count = like.numel()
        if len(self._pool) < count + _SPARE:
            self._pool = (torch.rand(count + _SPARE, device=self._pool.device) >= self._share).float()
        start = int(torch.randint(len(self._pool) - count, (1,)))
        dense = torch.empty_like(like, memory_format=torch.preserve_format)
        return self._pool[start : start + count].as_strided(dense.shape, dense.stride(), start)


class BiasShift:
    """What is added to a bias; starts at the plan's correction."""

    def __init__(self, bias: Tensor, correction: tuple[float, ...] | None) -> None:
        start = torch.zeros_like(bias) if correction is None else torch.tensor(correction).to(bias).reshape(bias.shape)
        self._unit = float(bias.std(unbiased=False)) + 1e-6
        self.shift = (start / self._unit).requires_grad_()

    def delta(self) -> Tensor:
        """In units of the bias."""
        return self.shift * self._unit
