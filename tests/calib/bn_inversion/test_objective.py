"""The BatchNorm-statistics loss: its zero, its gradient, its caps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zsq_export.calib.bn_inversion.objective import LARGEST_MISMATCH, NormTarget, batchnorm_loss, norm_targets
from zsq_export.graph.prepared import BatchNormStatistics


def statistics(mean: list[float], variance: list[float], name: str = "t", epsilon: float = 0.0) -> BatchNormStatistics:
    ones = np.ones(len(mean), np.float32)
    return BatchNormStatistics(
        node=f"{name}_bn",
        input_name=name,
        mean=np.array(mean, np.float32),
        variance=np.array(variance, np.float32),
        gamma=ones,
        beta=ones,
        epsilon=epsilon,
    )


def targets(mean: list[float], variance: list[float]) -> tuple[NormTarget, ...]:
    return norm_targets([statistics(mean, variance)], "cpu")


def with_moments(mean: list[float], deviation: list[float], shape: tuple[int, ...] = (4, 3, 5)) -> Tensor:
    """Activations [samples, channels, ...] with exactly these moments per channel."""
    raw = torch.randn(shape[0], len(mean), *shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes = (0, *range(2, raw.dim()))
    unit = (raw - raw.mean(axes, keepdim=True)) / raw.std(axes, unbiased=False, keepdim=True)
    broadcast = (1, -1, *(1,) * (raw.dim() - 2))
    scaled = unit * torch.tensor(deviation).double().reshape(broadcast) + torch.tensor(mean).double().reshape(broadcast)
    return scaled.float()


@pytest.mark.parametrize("shape", [(32,), (4, 6), (4, 3, 5), (2, 3, 2, 3)])
def test_it_is_zero_at_a_perfect_match(shape: tuple[int, ...]) -> None:
    wanted = targets([0.5, -2.0, 30.0], [1.0, 0.04, 100.0])
    match = with_moments([0.5, -2.0, 30.0], [1.0, 0.2, 10.0], shape)
    assert float(batchnorm_loss({"t": match}, wanted)) == pytest.approx(0, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    shift=st.floats(-4, 4),
    stretch=st.floats(0.2, 4),
    scale=st.sampled_from([1e-2, 1.0, 1e3]),
)
def test_it_is_the_squared_relative_mismatch(shift: float, stretch: float, scale: float) -> None:
    wanted = targets([2 * scale], [scale**2])
    seen = with_moments([(2 + shift) * scale], [stretch * scale])
    expected = shift**2 + (stretch - 1) ** 2
    assert float(batchnorm_loss({"t": seen}, wanted)) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_layers_weigh_the_same_however_wide() -> None:
    narrow, wide = statistics([0.0], [1.0], "narrow"), statistics([0.0] * 9, [1.0] * 9, "wide")
    seen = {"narrow": with_moments([1.0], [1.0]), "wide": with_moments([0.0] * 9, [1.0] * 9)}
    assert float(batchnorm_loss(seen, norm_targets([narrow, wide], "cpu"))) == pytest.approx(0.5, abs=1e-4)


def test_epsilon_belongs_to_the_stored_deviation() -> None:
    (target,) = norm_targets([statistics([0.0], [0.0], epsilon=0.25)], "cpu")
    assert float(target.sigma) == 0.5


def test_a_dead_channel_is_capped_and_gives_no_gradient() -> None:
    wanted = targets([0.0, 0.0], [1.0, 0.0])
    seen = with_moments([0.5, 7.0], [1.0, 3.0]).requires_grad_(True)
    loss = batchnorm_loss({"t": seen}, wanted)
    assert float(loss.detach()) == pytest.approx((0.25 + 2 * LARGEST_MISMATCH) / 2, rel=1e-3)
    loss.backward()  # type: ignore[no-untyped-call]
    assert seen.grad is not None
    assert torch.isfinite(seen.grad).all()
    assert float(seen.grad[:, 0].abs().max()) > 0
    assert float(seen.grad[:, 1].abs().max()) == 0


def test_a_nearly_dead_channel_is_measured_by_its_layer() -> None:
    (target,) = targets([0.0, 0.0], [2.0, 1e-20])
    assert float(target.unit[1]) == pytest.approx(1e-3)


def test_following_the_gradient_ends_in_a_match() -> None:
    wanted = targets([0.3, -1.0], [0.5, 2.0])
    variable = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    optimiser = torch.optim.Adam([variable], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        loss = batchnorm_loss({"t": variable}, wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert float(loss.detach()) < 1e-3


def test_a_constant_activation_has_finite_gradients() -> None:
    seen = torch.full((2, 1, 3, 3), 4.0, requires_grad=True)
    batchnorm_loss({"t": seen}, targets([0.0], [4.0])).backward()  # type: ignore[no-untyped-call]
    assert seen.grad is not None
    assert torch.isfinite(seen.grad).all()
    assert float(seen.grad.min()) > 0


def test_groups_are_matched_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    taps = {"x": torch.randn(6, 3, 4, 4, generator=generator)}
    target = NormTarget(input_name="x", mean=torch.zeros(3), sigma=torch.full((3,), 2.0), unit=torch.full((3,), 2.0))
    apart = [batchnorm_loss({"x": part}, [target]) for part in taps["x"].split(2)]
    torch.testing.assert_close(batchnorm_loss(taps, [target], groups=3), torch.stack(apart).mean())
