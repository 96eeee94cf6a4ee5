"""Each improvement's own formula."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from zsq_export.calib.bn_inversion.improve.classes import (
    SAMPLES_PER_CLASS,
    draw_classes,
    hardness_loss,
    soft_class_loss,
    spread_loss,
)
from zsq_export.calib.bn_inversion.improve.pictures import low_pass, random_crops, texture_energies, texture_loss
from zsq_export.calib.bn_inversion.improve.settings import CIFAR, IMAGENET, settings_for
from zsq_export.calib.bn_inversion.improve.statistics import with_layer_weights, with_slack
from zsq_export.calib.bn_inversion.objective import NormTarget, batchnorm_loss


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def target(name: str = "t") -> NormTarget:
    return NormTarget(input_name=name, mean=torch.zeros(4), sigma=torch.ones(4), unit=torch.ones(4))


def test_within_the_slack_of_noise_nothing_counts_and_beyond_it_only_the_rest() -> None:
    noise = 3 + 2 * torch.randn(64, 4, 8, 8, generator=generator())
    (slack,) = with_slack((target(),), {"t": noise}, 1.0)
    assert slack.mean_slack == pytest.approx(3, abs=0.2) and slack.sigma_slack == pytest.approx(1, abs=0.1)
    assert float(batchnorm_loss({"t": noise}, (slack,))) == 0
    further = float(batchnorm_loss({"t": noise + 1}, (slack,)))
    assert 0 < further < 1.1 < float(batchnorm_loss({"t": noise + 1}, (target(),)))


def test_the_share_of_channels_decides_the_slack() -> None:
    noise = torch.randn(64, 4, 8, 8, generator=generator()) + torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 4, 1, 1)
    margins = [with_slack((target(),), {"t": noise}, share)[0].mean_slack for share in (0.0, 0.5, 1.0)]
    assert margins == sorted(margins) and margins[2] > margins[0] + 2


def test_shallow_layers_count_less_than_deep_ones() -> None:
    targets = with_layer_weights(tuple(target(str(i)) for i in range(8)), 0.25, 0.2, 1.1)
    assert [item.weight for item in targets] == [0.2] * 2 + [1.1] * 6
    taps = {str(i): torch.zeros(2, 4) if i else torch.ones(2, 4) for i in range(8)}
    shallow = replace(targets[0], weight=1.0)
    assert float(batchnorm_loss(taps, targets[:1])) == pytest.approx(0.2 * float(batchnorm_loss(taps, (shallow,))))


def test_crops_keep_the_shape_and_show_parts_that_differ_from_call_to_call() -> None:
    pictures = torch.linspace(0, 1, 32 * 32).reshape(1, 1, 32, 32).expand(2, 3, 32, 32).clone().requires_grad_()
    crop = random_crops(0.5, generator())
    seen = [crop(pictures) for _ in range(16)]
    assert all(part.shape == pictures.shape for part in seen)
    assert len({round(float(part.detach().sum()), 3) for part in seen}) > 4
    assert max(float(part.detach().max()) for part in seen) <= 1.0
    sum(part.sum() for part in seen).backward()  # type: ignore[union-attr]
    assert pictures.grad is not None and float(pictures.grad.abs().sum()) > 0


def test_the_low_pass_filter_keeps_means_and_takes_a_wave_by_its_frequency() -> None:
    columns = torch.arange(64.0)
    for period in (32, 8, 2):
        wave = (0.5 + 0.4 * torch.cos(2 * math.pi * columns / period)).expand(1, 3, 64, 64)
        found = low_pass(0.5)(wave)
        share = 2 / period
        assert float(found.mean()) == pytest.approx(float(wave.mean()), abs=1e-5)
        assert float(found.std() / wave.std()) == pytest.approx(math.exp(-(share**2) / (2 * 0.5**2)), rel=1e-3)


def test_texture_energies_tell_noise_from_smooth_pictures_and_the_loss_is_zero_on_the_same() -> None:
    noise = torch.rand(4, 3, 16, 16, generator=generator())
    smooth = low_pass(0.05)(noise)
    assert texture_energies(noise).shape == (4, 24)
    assert bool((texture_energies(noise) > texture_energies(smooth)).all())
    wanted = texture_energies(smooth)
    assert float(texture_loss(smooth, wanted)) == 0
    variable = noise.clone().requires_grad_()
    loss = texture_loss(variable, wanted)
    loss.backward()  # type: ignore[no-untyped-call]
    assert variable.grad is not None
    moved = variable.detach() - 0.02 * variable.grad.sign()
    assert float(texture_loss(moved, wanted)) < float(loss.detach())


def test_a_soft_class_is_met_at_its_probability() -> None:
    scores = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]))
    classes = torch.tensor([0, 1])
    assert float(soft_class_loss(scores, classes, torch.tensor([0.7, 0.8]))) == pytest.approx(0, abs=1e-9)
    assert float(soft_class_loss(scores, classes, torch.tensor([0.9, 0.8]))) == pytest.approx(0.02)


def test_spread_wants_samples_of_a_class_in_a_ring() -> None:
    classes = torch.tensor([0, 0, 1, 1, 2])
    alike = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1], [1, 1]])
    assert float(spread_loss(alike, classes, 0.05, 0.8)) == pytest.approx(0.05 * 4 / 5)
    apart = torch.tensor([[1.0, 0.5], [0.5, 1], [0.4, 1], [1, 0.4], [1, 1]])
    assert float(spread_loss(apart, classes, 0.01, 0.8)) == 0
    strangers = torch.tensor([[1.0, 0], [-1, 0.1], [0, 1], [0.1, -1], [1, 1]])
    assert float(spread_loss(strangers, classes, 0.05, 0.5)) > 0.3


def test_hard_samples_count_more() -> None:
    sure, unsure = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    zero = torch.tensor([0])
    plain = torch.nn.functional.cross_entropy
    for scores, probability in ((sure, 1 / (1 + math.exp(-4))), (unsure, 0.5)):
        expected = 3 * (1 - probability) ** 2 * float(plain(scores, zero))
        assert float(hardness_loss(scores, zero, 3.0, 2.0)) == pytest.approx(expected, rel=1e-4)


def test_classes_come_in_groups_where_samples_are_compared() -> None:
    grouped = draw_classes(32, 1000, generator(), in_groups=True)
    assert len(set(grouped.tolist())) <= 32 // SAMPLES_PER_CLASS
    assert len(set(draw_classes(32, 1000, generator(), in_groups=False).tolist())) > 16


def test_the_constants_are_those_published_for_the_kind_of_data() -> None:
    assert settings_for(10) is CIFAR and settings_for(100) is CIFAR and settings_for(0) is CIFAR
    assert settings_for(1000) is IMAGENET
    assert (IMAGENET.hardness_weight, IMAGENET.hardness_power) == (0.1, 0.5)
