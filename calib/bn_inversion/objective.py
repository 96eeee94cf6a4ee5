"""What an inverted input has to achieve: BatchNorm statistics and confident evidence of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zsq_export.execution.torch_executor import channel_moments
from zsq_export.graph.prepared import BatchNormStatistics

LARGEST_MISMATCH = 25.0
"""Cap of one channel's squared relative mismatch: dead channels (σ near 0) must not drown the others."""

SMALLEST_RELATIVE_SIGMA = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class NormTarget:
    """Stored statistics of one BatchNorm on the device.

    Attributes:
        input_name: tensor to watch.
        mean, sigma: float32 [channels].
        unit: float32 [channels], what a mismatch is measured in (σ, bounded from below).
        mean_slack, sigma_slack: mismatch, in units, that does not count.
        weight: of the layer.
    """

    input_name: str
    mean: Tensor
    sigma: Tensor
    unit: Tensor
    mean_slack: float = 0.0
    sigma_slack: float = 0.0
    weight: float = 1.0


def norm_targets(norms: Sequence[BatchNormStatistics], device: str) -> tuple[NormTarget, ...]:
    """The stored statistics as tensors."""
    targets = []
    for norm in norms:
        sigma = torch.sqrt(torch.from_numpy(norm.variance.copy()).to(device) + norm.epsilon)
        floor = SMALLEST_RELATIVE_SIGMA * float(torch.sqrt((sigma**2).mean()))
        mean = torch.from_numpy(norm.mean.copy()).to(device)
        targets.append(NormTarget(input_name=norm.input_name, mean=mean, sigma=sigma, unit=sigma.clamp_min(floor)))
    return tuple(targets)


def batchnorm_loss(taps: Mapping[str, Tensor], targets: Sequence[NormTarget], groups: int = 1) -> Tensor:
    """Mean over layers and channels of ((m - μ) / σ)² + ((s - σ) / σ)².

    The relative form of the BatchNorm-statistics loss of Yin et al., DeepInversion (2020), and Cai et al., ZeroQ
    (2020); relative, because layers differ by orders of magnitude.

    Args:
        taps: BatchNorm inputs [samples, channels, ...]; m and s are taken over all axes but 1.
        targets: what they should be.
        groups: m and s are taken over each of so many equal parts of the samples.

    Returns:
        Scalar, 0 at a perfect match, and without targets.
    """
    if not targets:
        return torch.zeros(())
    losses = [_layer_loss(_side_by_side(taps[target.input_name], groups), target) for target in targets]
    return torch.stack(losses).mean()


def _side_by_side(activation: Tensor, groups: int) -> Tensor:
    """Groups of samples as further channels: [samples / groups, groups * channels, ...]."""
    if groups == 1:
        return activation
    return activation.reshape(groups, -1, *activation.shape[1:]).transpose(0, 1).flatten(1, 2)


def _layer_loss(activation: Tensor, target: NormTarget) -> Tensor:
    mean, variance = (moment.view(-1, len(target.mean)) for moment in channel_moments(activation))
    deviation = torch.sqrt(variance + 1e-12)
    shift = _beyond((mean - target.mean) / target.unit, target.mean_slack)
    stretch = _beyond((deviation - target.sigma) / target.unit, target.sigma_slack)
    return target.weight * (shift.clamp_max(LARGEST_MISMATCH) + stretch.clamp_max(LARGEST_MISMATCH)).mean()


def _beyond(mismatch: Tensor, slack: float) -> Tensor:
    """Squared, less what does not count."""
    return mismatch**2 if slack == 0 else torch.relu(mismatch.abs() - slack) ** 2
