"""Whole networks: both forms of a prepared model compute what the file computes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from digits import DigitsModel
from light_models import LIGHT_MODELS, write_light_model
from onnx_graphs import (
    assert_close,
    batchnorm,
    batchnorm_constants,
    feeds_for,
    node,
    op_types,
    proto,
    run,
    weights,
    write,
)
from torch_nets import NETS, export_net

from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.saving import serialize_model
from zsq_export.graph.topology import value_by_name

EXPORTS = {
    "trace": {"dynamo": False, "fold": True},
    "trace_unfolded": {"dynamo": False, "fold": False},
    "trace_opset11": {"dynamo": False, "fold": True, "opset": 11},
    "dynamo": {"dynamo": True, "fold": True},
    "dynamo_unfolded": {"dynamo": True, "fold": False},
}
_NOT_EXPORTABLE = ("vision_transformer", "trace_opset11")
"""PyTorch exports its attention from opset 14 on."""
ASSETS = {
    "cifar10/resnet20_akamaster": 19,
    "cifar10/resnet20_chenyaofo": 21,
    "cifar10/resnet56_akamaster": 55,
    "cifar10/vit_d6_smmk47": 0,
    "coco/fastestdet_352": 70,
    "imagenet/efficientnet_lite0_224": 49,
    "imagenet/mobilenetv1_075_224": 27,
    "mlperf_tiny/ic_resnet8": 7,
    "mlperf_tiny/kws_dscnn": 9,
    "superres/espcn_x3_224": 0,
}


def check_prepared(path: Path, batch: int = 2, tolerance: float = 1e-4) -> PreparedModel:
    """Both forms are valid and agree with the file; tensors in both have the same value."""
    prepared = prepare_model(path)
    feeds = feeds_for(prepared.inputs, batch)
    expected = run(path, feeds)
    for form in (prepared.with_batchnorm, prepared.folded):
        onnx.checker.check_model(onnx.load_from_string(serialize_model(form)), full_check=True)
        assert_close(expected, run(form, feeds), tolerance)
    _check_common_tensors(prepared, feeds, tolerance)
    return prepared


def _check_common_tensors(prepared: PreparedModel, feeds: dict[str, np.ndarray], tolerance: float) -> None:
    forms = (prepared.with_batchnorm, prepared.folded)
    names = [
        {value.name for item in form.graph for value in item.outputs if value.dtype == ir.DataType.FLOAT}
        for form in forms
    ]
    common = sorted(str(name) for name in names[0] & names[1])
    results = [run(_with_outputs(form, common), feeds) for form in forms]
    assert_close({name: results[0][name] for name in common}, {name: results[1][name] for name in common}, tolerance)
    for name in set(forms[0].graph.initializers) & set(forms[1].graph.initializers):
        first, second = (form.graph.initializers[name].const_value for form in forms)
        assert first is not None and second is not None
        np.testing.assert_array_equal(first.numpy(), second.numpy())


def _with_outputs(form: ir.Model, names: list[str]) -> ir.Model:
    tapped = form.clone()
    values, present = value_by_name(tapped), {value.name for value in tapped.graph.outputs}
    tapped.graph.outputs.extend(values[name] for name in names if name not in present)
    return tapped


def _exports() -> list[Any]:
    """Every network in every way; PyTorch's newer exporter takes seconds for each, so most of those are slow tests."""
    pairs = [(name, export) for name in NETS for export in EXPORTS]
    quick = {"inverted_residual", "shared_head"}
    slow = {pair for pair in pairs if "dynamo" in pair[1] and pair[0] not in quick}
    return [pytest.param(*pair, marks=[pytest.mark.slow] * (pair in slow)) for pair in pairs if pair != _NOT_EXPORTABLE]


@pytest.mark.parametrize(("name", "export"), _exports())
def test_exported_network(name: str, export: str, build_once: Callable[[str, Callable[[Path], None]], Path]) -> None:
    folder = build_once(f"net_{name}_{export}", lambda item: export_net(name, item / "net.onnx", **EXPORTS[export]))
    prepared = check_prepared(folder / "net.onnx", batch=3)
    assert "BatchNormalization" not in op_types(prepared.folded)
    assert all(shape[0] is None for shape in (item.shape for item in prepared.inputs))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (count > 60)) for name, count in LIGHT_MODELS.items()]
)
def test_architecture_of_the_onnx_package(name: str, tmp_path: Path) -> None:
    prepared = check_prepared(write_light_model(name, tmp_path))
    assert len(prepared.batchnorms) == LIGHT_MODELS[name]


@pytest.mark.slow
def test_efficientnet_lite0_within_its_time(efficientnet_lite0_path: Path) -> None:
    prepare_model(efficientnet_lite0_path)
    start = time.perf_counter()
    prepared = prepare_model(efficientnet_lite0_path)
    assert time.perf_counter() - start < 3
    assert len(prepared.batchnorms) == 49
    assert "Pad" not in op_types(prepared.folded)
    assert_close(
        run(efficientnet_lite0_path, feeds_for(prepared.inputs)), run(prepared.folded, feeds_for(prepared.inputs)), 1e-4
    )


def test_trained_digits_network(digits_model: DigitsModel) -> None:
    prepared = check_prepared(digits_model.path)
    assert prepared.output_names == ("logits",)
    assert prepared.inputs[0].name == "x" and prepared.inputs[0].shape == (None, 1, 16, 16)
    found = run(prepared.folded, {"x": digits_model.x_test})["logits"].argmax(axis=1)
    assert (found == run(digits_model.path, {"x": digits_model.x_test})["logits"].argmax(axis=1)).all()


@pytest.mark.assets
@pytest.mark.parametrize("name", ASSETS)
def test_real_network(name: str, assets_dir: Path) -> None:
    prepared = check_prepared(assets_dir / f"{name}.onnx")
    assert len(prepared.batchnorms) == ASSETS[name]
    for item in prepared.batchnorms:
        assert item.mean.shape == item.variance.shape == item.gamma.shape == item.beta.shape
        assert item.input_name in value_by_name(prepared.with_batchnorm)


@pytest.mark.assets
def test_transformer_keeps_only_the_batch_dynamic(assets_dir: Path) -> None:
    types = op_types(prepare_model(assets_dir / "cifar10/vit_d6_smmk47.onnx").folded)
    assert types.count("Shape") == 1 and "Cast" not in types and "Sqrt" not in types and "Constant" not in types


def test_statistics_behind_identities(tmp_path: Path) -> None:
    parameters = batchnorm_constants("p", 4)
    nodes = [node("Identity", [f"p_{index}"], f"q_{index}") for index in range(4)]
    nodes += [node("Conv", ["x", "w"], "c"), batchnorm("c", "y", "q", epsilon=0.01)]
    prepared = check_prepared(write(tmp_path, proto(nodes, {"w": weights(4, 3, 3, 3), **parameters})))
    (found,) = prepared.batchnorms
    assert (found.node, found.input_name, found.epsilon) == ("y_node", "c", pytest.approx(0.01))
    for array, index in ((found.gamma, 0), (found.beta, 1), (found.mean, 2), (found.variance, 3)):
        np.testing.assert_array_equal(array, parameters[f"p_{index}"])


def test_training_mode_batchnorm_is_read_as_inference(tmp_path: Path) -> None:
    constants = {"w": weights(4, 3, 3, 3), **batchnorm_constants("p", 4)}
    training = onnx.helper.make_node(
        "BatchNormalization", ["c", "p_0", "p_1", "p_2", "p_3"], ["y", "m", "v"], training_mode=1, name="bn"
    )
    inference = batchnorm("c", "y", "p")
    conv = node("Conv", ["x", "w"], "c")
    prepared = prepare_model(write(tmp_path, proto([conv, training], constants)))
    feeds = {"x": weights(2, 3, 8, 8)}
    assert_close(run(proto([conv, inference], constants), feeds), run(prepared.folded, feeds))


def test_two_runs_give_the_same_bytes(digits_model: DigitsModel) -> None:
    first, second = prepare_model(digits_model.path), prepare_model(digits_model.path)
    assert serialize_model(first.folded) == serialize_model(second.folded)
    assert serialize_model(first.with_batchnorm) == serialize_model(second.with_batchnorm)
