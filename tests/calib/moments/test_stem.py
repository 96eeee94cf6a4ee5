"""The input convention from weights alone, beside the one that pictures find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_nets import picture_net, reworked

from zsq_export.calib.base import CalibrationRequest
from zsq_export.calib.convention import detect_convention
from zsq_export.calib.conventions import COLOUR_CONVENTIONS, GREY_CONVENTIONS
from zsq_export.calib.moments import calibrator
from zsq_export.calib.moments.calibrator import MomentsCalibrator
from zsq_export.calib.moments.stem import PHOTO_DEVIATION, _patches, derive_convention
from zsq_export.calib.synthesis import prior_pictures, sole_picture
from zsq_export.graph.prepare import prepare_model
from zsq_export.preprocessing import Preprocessing

REAL = (
    "cifar10/resnet20_akamaster", "cifar10/resnet56_akamaster", "cifar10/resnet20_chenyaofo", "mlperf_tiny/ic_resnet8",
    "imagenet/efficientnet_lite0_224", "imagenet/mobilenetv1_075_224", "coco/fastestdet_352",
)  # fmt: skip
TRAINED_ALIKE = {"imagenet mean/std", "cifar mean/std", "cifar mean/std (0.2023)"}


def no_pictures(*_: Any) -> None:
    raise AssertionError("a picture was drawn")


def test_patches_correlate_as_the_priors_do(digits_model: Any) -> None:
    picture = sole_picture(prepare_model(digits_model.path))
    assert picture is not None
    drawn = prior_pictures(picture, seed=0, count=64).astype(np.float64)
    centred = drawn - drawn.mean()
    neighbours = (centred[:, :, :, 1:] * centred[:, :, :, :-1]).mean() / (centred**2).mean()
    covariance = _patches(1, 1, 2, picture.height)
    assert covariance[0, 0] == pytest.approx(PHOTO_DEVIATION**2)
    assert covariance[0, 1] / covariance[0, 0] == pytest.approx(neighbours, abs=0.3)


@pytest.mark.parametrize("name", ["-1..1", "0..1", "0..255"])
def test_conventions_are_told_apart(tmp_path: Path, name: str) -> None:
    wanted = next(convention for convention in COLOUR_CONVENTIONS if convention.name == name)
    model = prepare_model(picture_net(tmp_path, wanted))
    picture = sole_picture(model)
    assert picture is not None
    found = derive_convention(model, picture)
    assert found is not None and found.preprocessing.name.removesuffix(", BGR") == wanted.name


def test_moments_draw_no_picture(digits_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = next(convention for convention in GREY_CONVENTIONS if convention.name == "0..255")
    path = reworked(digits_model.path, tmp_path / "m.onnx", mean=raw.mean[0], std=raw.std[0])
    monkeypatch.setattr(calibrator, "detect_convention", no_pictures)
    found = MomentsCalibrator().calibrate(prepare_model(path), CalibrationRequest())
    assert found.preprocessing == raw


def test_what_no_convention_explains_is_left_to_pictures(tmp_path: Path) -> None:
    model = prepare_model(picture_net(tmp_path, Preprocessing(mean=(0.5,) * 3, std=(1e-5,) * 3)))
    picture = sole_picture(model)
    assert picture is not None and derive_convention(model, picture) is None


@pytest.mark.assets
@pytest.mark.parametrize("name", REAL)
def test_real_networks_as_pictures_say(assets_dir: Path, name: str) -> None:
    model = prepare_model(assets_dir / f"{name}.onnx")
    picture = sole_picture(model)
    assert picture is not None
    derived, seen = derive_convention(model, picture), detect_convention(model, picture)
    assert derived is not None
    names = {derived.preprocessing.name, seen.preprocessing.name}
    assert len(names) == 1 or names <= TRAINED_ALIKE


@pytest.mark.assets
def test_a_real_network_that_takes_no_pictures_is_left_to_them(assets_dir: Path) -> None:
    model = prepare_model(assets_dir / "mlperf_tiny/kws_dscnn.onnx")
    picture = sole_picture(model)
    assert picture is None or derive_convention(model, picture) is None
