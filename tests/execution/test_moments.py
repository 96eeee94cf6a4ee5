"""Differentiable channel moments."""

from __future__ import annotations

import pytest
import torch

from zsq_export.execution.torch_executor import channel_moments


@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (7, 3), (2, 5, 9), (2, 1, 2, 3, 4)])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_equal_torch_mean_and_var(shape: tuple[int, ...], offset: float) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) + offset
    x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
    axes = [axis for axis in range(x.dim()) if axis != 1]
    mean, variance = channel_moments(x)
    torch.testing.assert_close(mean, x.mean(axes), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(variance, x.var(axes, correction=0), rtol=1e-3, atol=1e-5)


def test_gradient_equals_finite_differences() -> None:
    x = torch.randn(4, 3, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(channel_moments, (x,))


def test_a_constant_channel_has_no_variance_and_a_finite_gradient() -> None:
    x = torch.full((2, 3, 4, 4), 2.0, requires_grad=True)
    mean, variance = channel_moments(x)
    assert variance.tolist() == [0.0] * 3
    (mean.sum() + variance.sum()).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
