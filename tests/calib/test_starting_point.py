"""Prior inputs in the model's own convention and layout, or fields of its own scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx_graphs import batchnorm, node, proto, weights, write
from picture_nets import channels_last

from zsq_export.calib.field_scale import fit_field_scale
from zsq_export.calib.starting_point import starting_point
from zsq_export.calib.synthesis import field_inputs, normalise
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import InputInfo, PreparedModel
from zsq_export.preprocessing import ChannelOrder, Preprocessing

FEATURES = 40
BGR = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0), channel_order=ChannelOrder.BGR)


def autoencoder(folder: Path, *, mean: float, deviation: float) -> PreparedModel:
    """Dense layers with BatchNorm on vectors, "trained" on correlated features of that mean and deviation."""
    mixed = weights(512, 8, seed=1) @ weights(8, FEATURES, seed=2)
    seen = (mean + deviation * mixed / mixed.std(axis=0)).astype(np.float32)
    constants: dict[str, NDArray[Any]] = {"w": weights(FEATURES, 16) / 6, "v": weights(16, FEATURES)}
    hidden = seen @ constants["w"]
    ones = np.ones(16, np.float32)
    constants |= {"b_0": ones, "b_1": 0 * ones, "b_2": hidden.mean(axis=0), "b_3": hidden.var(axis=0)}
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        batchnorm("h", "n", "b"),
        node("Relu", ["n"], "r"),
        node("MatMul", ["r", "v"], "y"),
    ]
    return prepare_model(write(folder, proto(nodes, constants, inputs={"x": ("N", FEATURES)})))


@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (0, 0.05), (-30, 80), (4, 2), (-100, 100)])
def test_the_scale_of_vectors_is_read_off_the_batchnorm(tmp_path: Path, mean: float, deviation: float) -> None:
    model = autoencoder(tmp_path, mean=mean, deviation=deviation)
    found = fit_field_scale(model, model.inputs[0])
    assert 0.6 < found.deviation / deviation < 1.6
    assert abs(found.mean - mean) < 0.6 * deviation
    assert "'x'" in found.note
    start = starting_point(model, seed=0, count=64, given=None)
    assert not start.is_picture
    assert start.preprocessing is None
    assert start.unit == found.deviation
    assert start.inputs().std() == pytest.approx(found.deviation, rel=0.1)
    assert start.inputs().shape == (64, FEATURES)
    assert start.notes == (found.note,)


def test_without_batchnorm_vectors_are_standard_and_the_user_is_warned(tmp_path: Path) -> None:
    path = write(tmp_path, proto([node("MatMul", ["x", "w"], "y")], {"w": weights(5, 3)}, inputs={"x": ("N", 5)}))
    model = prepare_model(path)
    found = fit_field_scale(model, model.inputs[0])
    assert (found.mean, found.deviation) == (0.0, 1.0)
    assert "ranges may be wrong" in found.note


@pytest.mark.parametrize("shape", [(None, 12), (None, 8, 1, 1), (None, 4, 20), (None, 2, 6, 6, 6), (1, 5, 9, 4)])
def test_fields_have_unit_variance_in_any_shape(shape: tuple[int | None, ...]) -> None:
    made = field_inputs(InputInfo(name="x", shape=shape), seed=3, count=200)
    assert made.shape == (200, *shape[1:])
    assert made.dtype == np.float32
    assert made.std() == pytest.approx(1, abs=0.05)
    assert made.tobytes() == field_inputs(InputInfo(name="x", shape=shape), seed=3, count=200).tobytes()


@pytest.mark.parametrize("last", [False, True])
def test_numpy_and_torch_agree_on_the_way_to_the_input(digits_model: Any, tmp_path: Path, last: bool) -> None:
    path = channels_last(digits_model.path, tmp_path / "m.onnx") if last else digits_model.path
    start = starting_point(prepare_model(path), seed=0, count=3, given=None)
    assert start.inputs().shape == ((3, 16, 16, 1) if last else (3, 1, 16, 16))
    assert start.inputs().flags.c_contiguous
    converted = start.to_input("cpu")(torch.from_numpy(start.variable)).numpy()
    np.testing.assert_allclose(converted, start.inputs(), atol=1e-6)


def test_bgr_planes_are_turned_before_the_constants_apply(digits_model: Any) -> None:
    """Constants are in the order of the model's planes."""
    grey = starting_point(prepare_model(digits_model.path), seed=0, count=1, given=digits_model.preprocessing)
    assert grey.picture is not None
    colour = np.random.default_rng(0).random((2, 3, 4, 4), dtype=np.float32)
    start = replace(grey, variable=colour, picture=replace(grey.picture, channels=3), preprocessing=BGR)
    np.testing.assert_allclose(start.inputs()[:, 0], (colour[:, 2] - 0.1) / 0.5, atol=1e-6)
    np.testing.assert_allclose(start.to_input("cpu")(torch.from_numpy(colour)).numpy(), start.inputs(), atol=1e-6)
    np.testing.assert_array_equal(normalise(colour, BGR), start.inputs())


def test_a_given_convention_is_taken_as_it_is(digits_model: Any) -> None:
    given = Preprocessing(mean=(0.2,), std=(0.3,))
    start = starting_point(prepare_model(digits_model.path), seed=0, count=4, given=given)
    assert start.preprocessing == given
    assert start.notes == ()
    np.testing.assert_allclose(start.inputs(), (start.variable - 0.2) / 0.3, atol=1e-5)
