"""What a model's input means is read off its first layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_graphs import node, proto, weights, write
from picture_nets import channels_last, fixed_batch, picture_net, reworked

from zsq_export.calib.convention import PROBE_SAMPLES, PROBE_SEED, Detection, detect_convention
from zsq_export.calib.conventions import COLOUR_CONVENTIONS, GREY_CONVENTIONS, reversed_planes
from zsq_export.calib.first_layer import BatchNormProbe, batchnorm_mismatch, first_batchnorms
from zsq_export.calib.synthesis import normalise, picture_input, prior_pictures, sole_picture
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import BatchNormStatistics, InputInfo
from zsq_export.preprocessing import ChannelOrder, Origin, Preprocessing

BY_NAME = {convention.name: convention for convention in (*GREY_CONVENTIONS, *COLOUR_CONVENTIONS)}


def detect(path: Path) -> Detection:
    prepared = prepare_model(path)
    picture = sole_picture(prepared)
    assert picture is not None
    return detect_convention(prepared, picture)


def mismatch_of(path: Path, convention: Preprocessing) -> float:
    prepared = prepare_model(path)
    picture = sole_picture(prepared)
    assert picture is not None
    pictures = prior_pictures(picture, seed=PROBE_SEED, count=PROBE_SAMPLES)
    return BatchNormProbe(prepared).mismatch({picture.name: normalise(pictures, convention)})


def test_the_digits_models_own_convention_is_found(digits_model: Any) -> None:
    found = detect(digits_model.path)
    assert (found.preprocessing.mean, found.preprocessing.std) == ((0.5,), (0.5,))
    assert found.preprocessing.origin is Origin.DETECTED
    assert not found.unusual
    assert "-1..1" in found.note
    assert "next best" in found.note


@pytest.mark.parametrize("name", ["0..1", "0..255", "-128..127", "mean/std"])
def test_the_convention_follows_the_first_convolution(digits_model: Any, tmp_path: Path, name: str) -> None:
    """The network is the same, but its first layer takes pixels in other units."""
    wanted = next(convention for convention in GREY_CONVENTIONS if convention.name == name)
    path = reworked(digits_model.path, tmp_path / "m.onnx", mean=wanted.mean[0], std=wanted.std[0])
    assert detect(path).preprocessing == wanted


ALIKE = ("imagenet mean/std", "cifar mean/std", "cifar mean/std (0.2023)")  # the prior hardly tells them apart
BGR_CONVENTIONS = [BY_NAME[name] for name in ("imagenet mean/std", "-1..1", "0..1", "0..255", "imagenet mean, 0..255")]


@pytest.mark.parametrize(
    "wanted",
    [*COLOUR_CONVENTIONS, *map(reversed_planes, BGR_CONVENTIONS)],
    ids=lambda convention: f"{convention.name} {convention.channel_order}",
)
def test_colour_conventions_and_plane_orders_are_told_apart(tmp_path: Path, wanted: Preprocessing) -> None:
    found = detect(picture_net(tmp_path, wanted))
    assert found.preprocessing == wanted
    assert found.mismatch < 1e-3


def test_of_two_alike_the_more_usual_is_taken(tmp_path: Path) -> None:
    """Constants halfway between CIFAR's and ImageNet's, which CIFAR's fit a little better."""
    usual, rare = BY_NAME["imagenet mean/std"], BY_NAME["cifar mean/std"]
    mean, std = (
        tuple(0.52 * a + 0.48 * b for a, b in zip(left, right, strict=True))
        for left, right in ((usual.mean, rare.mean), (usual.std, rare.std))
    )
    path = picture_net(tmp_path, Preprocessing(mean=mean, std=std))
    found = detect(path)
    assert found.preprocessing == usual
    assert f"next best {rare.name}" in found.note
    assert 0.8 * found.mismatch < mismatch_of(path, rare) < found.mismatch


def test_an_input_that_fits_no_convention_is_unusual(tmp_path: Path) -> None:
    far = Preprocessing(mean=(0.5,) * 3, std=(1e-5,) * 3)
    assert detect(picture_net(tmp_path, far)).unusual


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch_changes_nothing(digits_model: Any, digits_model_folded: Any, tmp_path: Path, batch: int) -> None:
    for model in (digits_model, digits_model_folded):
        fixed = detect(fixed_batch(model.path, tmp_path / "m.onnx", batch))
        free = detect(model.path)
        assert fixed.preprocessing == free.preprocessing
        assert fixed.mismatch == pytest.approx(free.mismatch, rel=1e-4, nan_ok=True)


def test_the_place_of_the_channels_changes_nothing(digits_model: Any, tmp_path: Path) -> None:
    found = detect(channels_last(digits_model.path, tmp_path / "m.onnx"))
    free = detect(digits_model.path)
    assert found.preprocessing == free.preprocessing
    assert found.mismatch == pytest.approx(free.mismatch, rel=1e-4)


def test_without_batchnorm_it_is_assumed_and_said(digits_model_folded: Any) -> None:
    found = detect(digits_model_folded.path)
    assert found.preprocessing.origin is Origin.ASSUMED
    assert found.preprocessing.std != GREY_CONVENTIONS[3].std
    assert not found.unusual
    for words in ("no BatchNorm", "assumed", "--mean"):
        assert words in found.note


@pytest.mark.parametrize(("scale", "name"), [(1.0, "imagenet mean/std"), (1 / 80, "0..255")])
def test_without_batchnorm_raw_pixels_are_still_told_from_normalised_ones(
    tmp_path: Path, scale: float, name: str
) -> None:
    """Trained layers keep activations near unit variance: tiny weights mean large inputs."""
    kernels = {"w": weights(8, 3, 3, 3) * np.float32(scale / 5), "v": weights(8, 8, 1, 1) / 3}
    kernels["w"] -= kernels["w"].mean(axis=(1, 2, 3), keepdims=True)
    nodes = [node("Conv", ["x", "w"], "a"), node("Relu", ["a"], "b"), node("Conv", ["b", "v"], "y")]
    path = write(tmp_path, proto(nodes, kernels, inputs={"x": ("N", 3, 32, 32)}))
    assert detect(path).preprocessing.name == name


def test_a_model_without_weights_gets_the_usual_convention(tmp_path: Path) -> None:
    found = detect(write(tmp_path, proto([node("GlobalMaxPool", ["x"], "y")])))
    assert found.preprocessing.name == "imagenet mean/std"


@pytest.mark.parametrize(
    ("channels", "limits", "name"),
    [
        (1, (0.0, 1.0), "0..1"),
        (1, (0.0, 255.0), "0..255"),
        (3, (0.0, 1.0), "0..1"),
        (3, (0.0, 255.0), "0..255"),
        (3, (-0.5, 0.5), "-0.5..0.5"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_model_that_gives_its_pictures_back_tells_its_convention(
    tmp_path: Path, channels: int, limits: tuple[float, float], name: str, last: bool
) -> None:
    """Twice the size, saturating where no pixel of its convention is, and a little above black."""
    span = limits[1] - limits[0]
    low, high = np.float32(limits[0] + 0.08 * span), np.float32(limits[1])
    scales = np.array([1, 2, 2, 1] if last else [1, 1, 2, 2], dtype=np.float32)
    nodes = [node("Clip", ["x", "low", "high"], "c"), node("Resize", ["c", "", "scales"], "y", mode="nearest")]
    shape = ("N", 32, 32, channels) if last else ("N", channels, 32, 32)
    found = detect(write(tmp_path, proto(nodes, {"low": low, "high": high, "scales": scales}, inputs={"x": shape})))
    assert (found.preprocessing.name, found.preprocessing.origin) == (name, Origin.DETECTED)
    assert "repeats the input" in found.note
    assert found.value_range == pytest.approx(limits)


def test_a_model_that_gives_no_picture_back_does_not(tmp_path: Path) -> None:
    """Its output has the shape of the input, but is what a denoiser takes away: hardly anything."""
    scale = np.float32(0.01)
    path = write(tmp_path, proto([node("Mul", ["x", "s"], "y")], {"s": scale}, inputs={"x": ("N", 1, 32, 32)}))
    assert detect(path).preprocessing.origin is Origin.ASSUMED


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, 3, 32, 48), (3, 32, 48, False)),
        ((1, 1, 9, 8), (1, 9, 8, False)),
        ((None, 32, 48, 3), (3, 32, 48, True)),
        ((None, 3, None, None), (3, 224, 224, False)),
        ((None, None, None, 1), (1, 224, 224, True)),
        ((None, 3, 7, 32), None),
        ((None, 4, 32, 32), None),
        ((None, 3, 32), None),
        ((None, 1, 8, 8, 8), None),
        ((), None),
    ],
)
def test_shapes_of_pictures(shape: tuple[int | None, ...], expected: tuple[int, int, int, bool] | None) -> None:
    found = picture_input(InputInfo(name="x", shape=shape))
    assert (found and (found.channels, found.height, found.width, found.channels_last)) == expected


def test_only_batchnorms_behind_no_other_are_first(digits_model: Any) -> None:
    assert [norm.node for norm in first_batchnorms(prepare_model(digits_model.path))] == [
        "/stem/stem.1/BatchNormalization"
    ]


def test_a_match_scores_0_and_dead_channels_do_not_count() -> None:
    seen = np.random.default_rng(0).normal(2, 3, (4, 2, 8, 8)).astype(np.float32)
    mean, variance = seen.mean(axis=(0, 2, 3)), seen.var(axis=(0, 2, 3))

    def score(mean: Any, variance: Any) -> float:
        norm = BatchNormStatistics(
            node="n", input_name="t", mean=mean, variance=variance, gamma=mean, beta=mean, epsilon=0.0
        )
        return batchnorm_mismatch(norm, (seen.mean((0, 2, 3)), seen.std((0, 2, 3))))

    assert score(mean, variance) == pytest.approx(0, abs=1e-6)
    assert score(mean, variance * [1, 1e-9]) == pytest.approx(0, abs=1e-6)
    assert score(mean + np.sqrt(variance), variance) == pytest.approx(1, abs=1e-3)
    assert score(mean, variance * np.e**2) == pytest.approx(1, abs=1e-3)
    assert score(mean + 1e3, variance) == pytest.approx(9, abs=1e-3)


@pytest.mark.assets
@pytest.mark.parametrize(
    ("model", "convention", "order"),
    [
        ("cifar10/resnet20_akamaster", "normalised", ChannelOrder.RGB),
        ("cifar10/resnet56_akamaster", "normalised", ChannelOrder.RGB),
        ("cifar10/resnet20_chenyaofo", "normalised", ChannelOrder.RGB),
        ("mlperf_tiny/ic_resnet8", "0..255", ChannelOrder.RGB),
        ("imagenet/efficientnet_lite0_224", "-1..1", ChannelOrder.RGB),
        ("imagenet/mobilenetv1_075_224", "-1..1", ChannelOrder.RGB),
        ("coco/fastestdet_352", "0..1", ChannelOrder.BGR),
    ],
)
def test_real_networks(assets_dir: Path, model: str, convention: str, order: ChannelOrder) -> None:
    found = detect(assets_dir / f"{model}.onnx")
    names = ALIKE if convention == "normalised" else (convention,)
    wanted = [BY_NAME[name] for name in names]
    assert found.preprocessing in (map(reversed_planes, wanted) if order is ChannelOrder.BGR else wanted)
    assert not found.unusual


@pytest.mark.assets
def test_a_real_network_that_takes_no_pictures_is_unusual(assets_dir: Path) -> None:
    assert detect(assets_dir / "mlperf_tiny/kws_dscnn.onnx").unusual


@pytest.mark.assets
def test_a_real_network_that_enlarges_pictures_tells_their_unit(assets_dir: Path) -> None:
    found = detect(assets_dir / "superres/espcn_x3_224.onnx")
    assert (found.preprocessing.name, found.preprocessing.origin) == ("0..1", Origin.DETECTED)
    assert found.value_range == (0.0, 1.0)


@pytest.mark.assets
def test_a_real_network_without_batchnorm_is_assumed(assets_dir: Path) -> None:
    found = detect(assets_dir / "cifar10/vit_d6_smmk47.onnx").preprocessing
    assert (found.name, found.origin) == ("imagenet mean/std", Origin.ASSUMED)
