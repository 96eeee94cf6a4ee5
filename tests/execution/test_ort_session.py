"""ONNX Runtime sessions: taps, every kind of source, one-line errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from digits import DigitsModel
from onnx import helper

from zsq_export.errors import ModelError
from zsq_export.execution import ort_session
from zsq_export.execution.ort_session import OrtSession


def _proto(nodes: list[onnx.NodeProto], shape: list[int | str], **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _chain() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="matmul"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Reshape", ["b", "target"], ["y"], name="reshape"),
    ]
    return _proto(nodes, ["N", 4], w=np.eye(4, dtype=np.float32), target=np.array([-1, 2], np.int64))


X = np.array([[1, -2, 3, -4]], np.float32)


@pytest.mark.parametrize("optimize", [True, False])
def test_taps_come_after_the_outputs(optimize: bool) -> None:
    session = OrtSession(_chain().SerializeToString(), taps=["a", "x", "y", "b"], threads=1, optimize=optimize)
    results = session.run({"x": X})
    assert list(results) == list(session.output_names) == ["y", "a", "b", "x"]
    np.testing.assert_array_equal(results["a"], X)
    np.testing.assert_array_equal(results["b"], np.maximum(X, 0))
    np.testing.assert_array_equal(results["x"], X)


def test_bytes_file_and_ir_model_agree(digits_model: DigitsModel) -> None:
    sources = [digits_model.path, digits_model.path.read_bytes(), ir.load(digits_model.path)]
    found = [OrtSession(source).run({"x": digits_model.x_test[:2]})["logits"] for source in sources]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_external_data_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(_chain(), tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=80)
    monkeypatch.chdir(Path(tmp_path).parent)
    np.testing.assert_array_equal(OrtSession(tmp_path / "m.onnx", taps=["a"]).run({"x": X})["a"], X)


def test_models_beyond_the_protobuf_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort_session, "PROTO_LIMIT", 10)
    model = ir.from_proto(_chain())
    np.testing.assert_array_equal(OrtSession(model, taps=["a"]).run({"x": X})["a"], X)


def test_the_callers_model_is_left_alone() -> None:
    model = ir.from_proto(_chain())
    OrtSession(model, taps=["a", "b"])
    assert [value.name for value in model.graph.outputs] == ["y"]


def test_unknown_tap() -> None:
    with pytest.raises(ModelError, match="'nowhere'"):
        OrtSession(_chain().SerializeToString(), taps=["nowhere"])


def test_a_failing_node_is_named_in_one_line() -> None:
    nodes = [helper.make_node("Reshape", ["x", "target"], ["y"], name="guilty")]
    session = OrtSession(_proto(nodes, ["N", 4], target=np.array([3, 5], np.int64)).SerializeToString())
    with pytest.raises(ModelError, match="guilty") as caught:
        session.run({"x": X})
    assert "\n" not in str(caught.value) and "onnxruntime/core" not in str(caught.value)


@pytest.mark.parametrize(
    "feeds", [{}, {"x": np.zeros((1, 5), np.float32)}, {"x": X, "z": X}, {"x": X.astype(np.int64)}]
)
def test_wrong_feeds(feeds: dict[str, np.ndarray]) -> None:
    with pytest.raises(ModelError, match="cannot run") as caught:
        OrtSession(_chain().SerializeToString()).run(feeds)
    assert "\n" not in str(caught.value)


def test_unknown_operator_and_broken_bytes(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="NoSuchOp"):
        OrtSession(_proto([helper.make_node("NoSuchOp", ["x"], ["y"])], [1]).SerializeToString())
    with pytest.raises(ModelError, match="cannot load"):
        OrtSession(b"this is no model")
    with pytest.raises(ModelError, match="cannot load"):
        OrtSession(tmp_path / "missing.onnx")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError):
        OrtSession(_proto([helper.make_node("NoSuchOp", ["x"], ["y"])], [1]).SerializeToString())
    assert capfd.readouterr() == ("", "")
