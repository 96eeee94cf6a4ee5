"""Improvements that change what a match of BatchNorm statistics is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zsq_export.calib.bn_inversion.objective import NormTarget
from zsq_export.execution.torch_executor import channel_moments


def with_slack(targets: Sequence[NormTarget], taps: Mapping[str, Tensor], share: float) -> tuple[NormTarget, ...]:
    """Only a mismatch beyond a layer's margin counts: real data do not match layer by layer either.

    Source: Zhang et al., "Diversifying Sample Generation for Accurate Data-Free Quantization" (DSG), CVPR 2021:
    the margin is a percentile of the mismatch of noise.

    Args:
        targets: statistics to meet.
        taps: BatchNorm inputs under noise.
        share: the percentile, 0..1.
    """
    return tuple(_slackened(target, taps[target.input_name], share) for target in targets)


def _slackened(target: NormTarget, activation: Tensor, share: float) -> NormTarget:
    mean, variance = (moment.view(-1, len(target.mean)).mean(0) for moment in channel_moments(activation))
    shift = ((mean - target.mean) / target.unit).abs()
    stretch = ((variance.sqrt() - target.sigma) / target.unit).abs()
    return replace(
        target,
        mean_slack=float(torch.quantile(shift, share)),
        sigma_slack=float(torch.quantile(stretch, share)),
    )


def with_layer_weights(
    targets: Sequence[NormTarget], shallow_share: float, shallow: float, deep: float
) -> tuple[NormTarget, ...]:
    """The first BatchNorms count less, the others more.

    Source: the layered BatchNorm-statistics loss of Chen et al., "TexQ", NeurIPS 2023, which Kim et al., "SynQ", ICLR
    2025, keep: colours and edges may vary, meanings may not.
    """
    border = max(1, round(shallow_share * len(targets)))
    return tuple(replace(target, weight=shallow if index < border else deep) for index, target in enumerate(targets))
