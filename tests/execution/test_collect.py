"""Statistics of a model's activations."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from digits import DigitsModel
from onnx import helper

from zsq_export.errors import ModelError
from zsq_export.execution import collect
from zsq_export.execution.collect import collect_statistics
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.loading import load_model


@pytest.fixture
def model(digits_model: DigitsModel) -> ir.Model:
    return load_model(digits_model.path)


def test_every_float_activation_is_seen(model: ir.Model, digits_model: DigitsModel) -> None:
    statistics = collect_statistics(model, {"x": digits_model.x_test[:10]}, batch_size=4)
    outputs = {value.name for node in model.graph for value in node.outputs if value.dtype == ir.DataType.FLOAT}
    constants = {value.name for node in model.graph if node.op_type == "Constant" for value in node.outputs}
    assert set(statistics) == (outputs - constants) | {"x"}
    whole = OrtSession(model, taps=list(statistics)).run({"x": digits_model.x_test[:10]})
    for name, stats in statistics.items():
        assert stats.samples == 10, name
        np.testing.assert_allclose([stats.minimum, stats.maximum], [whole[name].min(), whole[name].max()], rtol=1e-4)


def test_batches_do_not_matter(model: ir.Model, digits_model: DigitsModel, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"x": digits_model.x_test[:9]}
    whole = collect_statistics(model, inputs, batch_size=9)
    monkeypatch.setattr(collect, "ACTIVATION_BYTES", 1)
    single = collect_statistics(model, inputs)
    for name, stats in whole.items():
        np.testing.assert_allclose(stats.channel_variance, single[name].channel_variance, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(stats.sample_maximum, single[name].sample_maximum, rtol=1e-4, atol=1e-5)


def test_the_same_inputs_give_the_same_bytes(model: ir.Model, digits_model: DigitsModel) -> None:
    first, second = (collect_statistics(model, {"x": digits_model.x_test[:5]}) for _ in range(2))
    for name, stats in first.items():
        assert stats.channel_mean.tobytes() == second[name].channel_mean.tobytes()
        assert stats.histogram.counts.tobytes() == second[name].histogram.counts.tobytes()


def test_only_the_tensors_asked_for(model: ir.Model, digits_model: DigitsModel) -> None:
    assert list(collect_statistics(model, {"x": digits_model.x_test[:2]}, tensors=["logits", "x"])) == ["x", "logits"]
    with pytest.raises(ModelError, match="'nowhere'"):
        collect_statistics(model, {"x": digits_model.x_test[:2]}, tensors=["nowhere"])


@pytest.mark.parametrize("fixed", [1, 4])
def test_fixed_batch(model: ir.Model, digits_model: DigitsModel, fixed: int) -> None:
    free = collect_statistics(model, {"x": digits_model.x_test[:10]})
    proto = ir.to_proto(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = fixed
    del proto.graph.value_info[:]
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = fixed
    pinned = collect_statistics(
        ir.from_proto(onnx.shape_inference.infer_shapes(proto)), {"x": digits_model.x_test[:10]}
    )
    for name, stats in free.items():
        assert pinned[name].samples == 10
        np.testing.assert_allclose(stats.sample_maximum, pinned[name].sample_maximum, rtol=1e-4, atol=1e-5)


def test_a_tensor_without_the_batch_counts_once_a_run() -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0, name="mean"),
        helper.make_node("Add", ["x", "m"], ["y"], name="add"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 3])],
        [onnx.numpy_helper.from_array(np.array([0], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    loaded = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    statistics = collect_statistics(loaded, {"x": np.ones((3, 3), np.float32)}, batch_size=2)
    assert (statistics["y"].samples, statistics["m"].samples) == (3, 2)
    assert statistics["m"].channel_axis is None


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units there")
def test_memory_stays_bounded(assets_dir: Path) -> None:
    model = load_model(assets_dir / "imagenet" / "efficientnet_lite0_224.onnx")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    x = np.random.default_rng(0).normal(size=(24, 3, 224, 224)).astype(np.float32)
    collect_statistics(model, {"input": x})
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 700 * 1024
