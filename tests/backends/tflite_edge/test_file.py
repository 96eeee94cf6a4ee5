"""The file itself: inputs and outputs, layout, batch, metadata, what runs where."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from digits import DigitsModel
from onnx_graphs import model, node, random_feeds, run, weights
from plans import plan, prepared

from zsq_export.backends.options import IoLayout, IoType, Profile, TargetOptions
from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.errors import DataError, TargetUnavailableError
from zsq_export.execution.collect import collect_statistics
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.planning.leave_float import behind, leave_float
from zsq_export.preprocessing import PREPROCESSING_PROPERTY, Preprocessing
from zsq_export.quantization.metrics import sqnr_db

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from ai_edge_litert.interpreter import Interpreter

from zsq_export.backends.tflite_edge.metadata import read_info
from zsq_export.backends.tflite_edge.run import LiteRtRunner


def _network() -> ir.Model:
    nodes = [
        node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1]),
        node("HardSwish", ["c"], "h"),
        node("Conv", ["h", "v"], "y"),
    ]
    return model(nodes, {"w": weights(4, 3, 3, 3), "v": weights(2, 4, 3, 3)})


def _content(graph: ir.Model, options: TargetOptions) -> tuple[bytes, ir.Model]:
    backend = TfliteEdge().configured(options)
    qdq = graph.clone()
    InsertQdq(plan(graph, backend.placement()))(qdq)
    return backend._emitted(qdq), qdq


@pytest.mark.parametrize("io", IoType)
@pytest.mark.parametrize("layout", IoLayout)
def test_inputs_and_outputs(io: IoType, layout: IoLayout) -> None:
    graph = _network()
    content, qdq = _content(graph, TargetOptions(io=io, layout=layout))
    interpreter = Interpreter(model_content=content)
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["name"], found["name"]) == ("x", "y")
    assert given["dtype"] is found["dtype"] is (np.float32 if io is IoType.FLOAT else np.int8)
    assert list(given["shape_signature"]) == ([-1, 8, 8, 3] if layout is IoLayout.NHWC else [-1, 3, 8, 8])
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["x"], "outputs": ["y"]}}
    feeds = random_feeds(graph, batch=2)
    assert sqnr_db(run(qdq, feeds)["y"], LiteRtRunner(content, threads=1).run(feeds)["y"]) > 25


def test_four_samples_at_once_are_four_times_one() -> None:
    content, _ = _content(_network(), TargetOptions())
    runner = LiteRtRunner(content, threads=1)
    feeds = random_feeds(_network(), batch=4)
    single = [runner.run({"x": feeds["x"][index : index + 1]})["y"] for index in range(4)]
    assert np.array_equal(runner.run(feeds)["y"], np.concatenate(single))


def test_a_file_for_one_sample_takes_several() -> None:
    graph = model(
        [node("Reshape", ["x", "shape"], "r"), node("Gemm", ["r", "w"], "y", transB=1)],
        {"shape": np.array([1, 192]), "w": weights(5, 192)},
        inputs={"x": (1, 3, 8, 8)},
    )
    content, _ = _content(graph, TargetOptions())
    assert LiteRtRunner(content, threads=1).run(random_feeds(_network(), batch=3))["y"].shape == (3, 5)


def test_an_island_of_floats_and_none() -> None:
    island, _ = _content(_network(), TargetOptions())
    kinds = {op.op_type for op in LiteRtRunner(island, threads=1).executed_precisions() if op.precision == "f32"}
    assert "HARD_SWISH@xnnpack" in kinds
    integer, _ = _content(_network(), TargetOptions(profile=Profile.INT8_ONLY))
    executed = LiteRtRunner(integer, threads=1).executed_precisions()
    assert [op.op_type for op in executed if op.precision == "f32"] == ["QUANTIZE@xnnpack"]
    assert "HARD_SWISH@builtin" in {op.op_type for op in executed}


def test_what_it_says_of_itself() -> None:
    graph = _network()
    backend = TfliteEdge()
    qdq = graph.clone()
    InsertQdq(plan(graph, backend.placement()))(qdq)
    qdq.metadata_props[PREPROCESSING_PROPERTY] = Preprocessing(mean=(0.5,), std=(0.25,)).to_json()
    content = backend._emitted(qdq)
    info = read_info(content)
    assert info is not None
    assert [(port.name, port.order) for port in info.ports.inputs] == [("x", (0, 2, 3, 1))]
    assert info.transposes == 0
    assert [island[:2] for island in info.islands] == [("h_node", "HardSwish")]
    assert b'"mean":[0.5]' in content


def test_what_no_integer_kernel_takes_is_an_island_with_its_reason() -> None:
    pool = node("AveragePool", ["c"], "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    graph = model([node("Conv", ["x", "w"], "c"), pool], {"w": weights(4, 3, 3, 3)})
    info = read_info(_content(graph, TargetOptions())[0])
    assert info is not None
    assert info.islands == (("y_node", "AveragePool", "integers cannot leave the padding out of an average"),)


def test_four_bit_weights() -> None:
    graph = _network()
    backend = TfliteEdge()
    statistics = collect_statistics(graph, random_feeds(graph, batch=8))
    made = make_plan(prepared(graph), statistics, backend.placement(), PlanOptions(weights_bits=4, edge_bits=4))
    qdq = graph.clone()
    InsertQdq(made)(qdq)
    feeds = random_feeds(graph, batch=2)
    runner = LiteRtRunner(backend._emitted(qdq), threads=1)
    assert sqnr_db(run(qdq, feeds)["y"], runner.run(feeds)["y"]) > 25


def test_attention_as_a_whole() -> None:
    """Roundings add up along a chain; op by op they are in the op matrix."""
    nodes = [
        node("Transpose", ["x"], "t", perm=[0, 1, 3, 2]),
        node("MatMul", ["x", "t"], "m"),
        node("Softmax", ["m"], "s", axis=-1),
        node("MatMul", ["s", "x"], "y"),
    ]
    graph = model(nodes, {}, inputs={"x": ("N", 6, 9, 11)})
    for profile in Profile:
        content, qdq = _content(graph, TargetOptions(profile=profile))
        feeds = random_feeds(graph, batch=2)
        assert sqnr_db(run(qdq, feeds)["y"], LiteRtRunner(content, threads=1).run(feeds)["y"]) > 35


def test_layers_left_in_float() -> None:
    graph = _network()
    backend = TfliteEdge()
    made = leave_float(plan(graph, backend.placement()), graph, behind(graph, "h_node"), "test")
    assert [op.node for op in made.float_ops][-1] == "y_node"
    qdq = graph.clone()
    InsertQdq(made)(qdq)
    feeds = random_feeds(graph, batch=2)
    runner = LiteRtRunner(backend._emitted(qdq), threads=1)
    assert sqnr_db(run(qdq, feeds)["y"], runner.run(feeds)["y"]) > 40
    assert {op.precision for op in runner.executed_precisions() if op.op_type.startswith("CONV")} == {"i8", "f32"}


def test_no_transposes_in_a_convolutional_network(digits_model: DigitsModel) -> None:
    from zsq_export.graph.prepare import prepare_model

    ready = prepare_model(digits_model.path)
    info = read_info(TfliteEdge()._emitted(ready.folded))
    assert info is not None and info.transposes == 0


def test_wrong_shapes_are_refused_in_one_line() -> None:
    content, _ = _content(_network(), TargetOptions())
    with pytest.raises(DataError, match="3 axes"):
        LiteRtRunner(content, threads=1).run({"x": np.zeros((3, 8, 8), dtype=np.float32)})


def test_without_the_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content, _ = _content(_network(), TargetOptions())
    (tmp_path / "model.tflite").write_bytes(content)
    for name in [name for name in sys.modules if name.split(".")[0] == "ai_edge_litert"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    backend = TfliteEdge()
    probe = backend.probe()
    assert not probe.available and probe.runtime == "" and "zsq-export[tflite]" in probe.hint
    with pytest.raises(TargetUnavailableError) as caught:
        backend.open(tmp_path / "model.tflite", threads=1)
    assert caught.value.exit_code == 4
    with pytest.raises(TargetUnavailableError):
        backend.lower(_network(), None, tmp_path / "out")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
