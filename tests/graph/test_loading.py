"""Every broken file gets one line that says what is wrong; every sound one loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import IMAGE, assert_close, model, node, proto, run, weights, write

from zsq_export.errors import ModelError, UnsupportedOpError
from zsq_export.graph.loading import load_model
from zsq_export.graph.prepare import prepare_model

Shape = tuple[int | str, ...]
W = {"w": weights(4, 3, 3, 3)}
CONV = node("Conv", ["x", "w"], "y", "conv1")


def _with_weight(array: np.ndarray) -> onnx.ModelProto:
    return proto([CONV], {"w": array})


def _poisoned(number: float) -> onnx.ModelProto:
    array = weights(4, 3, 3, 3)
    array[1, 2, 0, 0] = number
    return _with_weight(array)


def _wrong_size() -> onnx.ModelProto:
    broken = proto([CONV], W)
    broken.graph.initializer[0].raw_data = b"12345678"
    return broken


def _sequence_input() -> onnx.ModelProto:
    broken = proto([node("Relu", ["x"], "y")])
    broken.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None))
    return broken


def _two_inputs(first: Shape, second: Shape, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    built = proto([node("Relu", ["x"], "y"), node("Neg", ["z"], "n")], inputs={"x": first}, outputs=("y", "n"))
    built.graph.input.append(helper.make_tensor_value_info("z", dtype, second))
    return built


BAD_GRAPHS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[str, ...]]] = {
    "cyclic": (
        lambda: proto(
            [node("Add", ["x", "b"], "a", "first"), node("Relu", ["a"], "b", "second"), node("Relu", ["b"], "y")]
        ),
        ("cyclic", "first", "second"),
    ),
    "reads itself": (lambda: proto([node("Add", ["x", "y"], "y", "loop")]), ("cyclic", "loop")),
    "undefined tensor": (lambda: proto([node("Add", ["x", "nowhere"], "y", "sum")]), ("sum", "nowhere")),
    "made twice": (lambda: proto([node("Relu", ["x"], "y", "one"), node("Relu", ["x"], "y", "two")]), ("'y'", "two")),
    "output made by nobody": (lambda: proto([CONV], W, outputs=("z",)), ("'z'",)),
    "unknown op": (lambda: proto([node("Relux", ["x"], "y", "act")]), ("act", "Relux", "did you mean Relu?")),
    "op of a later opset": (lambda: proto([node("Gelu", ["x"], "y", "act")]), ("act", "Gelu", "17")),
    "unknown domain": (
        lambda: proto([node("Gelu", ["x"], "y", "act", domain="com.microsoft")]),
        ("act", "com.microsoft.Gelu"),
    ),
    "no float input": (
        lambda: proto([node("Cast", ["x"], "y", to=1)], dtype=TensorProto.INT64),
        ("no float inputs", "'x' (INT64)"),
    ),
    "a number beside the picture": (
        lambda: _two_inputs(("N", 3, 8, 8), (), TensorProto.INT64),
        ("'z' (INT64)", "initializer"),
    ),
    "two sizes of a batch": (lambda: _two_inputs((1, 4), (2, 4)), ("1 of input 'x'", "2 of input 'z'")),
    "a batch on another axis": (lambda: _two_inputs(("N", 4), (2, "N", 4)), ("'N'", "axis 1 of 'z'")),
    "dynamic rank": (lambda: proto([node("Relu", ["x"], "y")], inputs={"x": None}), ("'x'", "rank")),
    "sequence input": (_sequence_input, ("'x'", "not a tensor")),
    "NaN": (lambda: _poisoned(np.nan), ("'w'", "conv1", "NaN")),
    "infinity": (lambda: _poisoned(np.inf), ("'w'", "conv1", "infinity")),
    "NaN in a Constant node": (
        lambda: proto(
            [helper.make_node("Constant", [], ["w"], value_float=float("nan")), node("Add", ["x", "w"], "y", "sum")]
        ),
        ("'w'", "sum", "NaN"),
    ),
    "too few bytes": (_wrong_size, ("'w'", "108 numbers")),
    "already quantized": (
        lambda: proto(
            [node("DequantizeLinear", ["q", "s"], "w"), CONV],
            {"q": np.zeros((4, 3, 3, 3), np.int8), "s": np.float32(0.1)},
        ),
        ("already quantized", "w_node"),
    ),
    "dynamically quantized": (
        lambda: proto([node("ConvInteger", ["x", "w"], "y", "conv1")], W),
        ("already quantized", "conv1"),
    ),
    "old opset": (lambda: proto([CONV], W, opset=9), ("operator set 9", "11 or later")),
    "future opset": (lambda: proto([CONV], W, opset=999), ("operator set 999",)),
}


@pytest.mark.parametrize("case", BAD_GRAPHS)
def test_broken_graph_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    build, expected = BAD_GRAPHS[case]
    with pytest.raises(ModelError) as caught:
        load_model(write(tmp_path, build()))
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    for part in expected:
        assert part in str(caught.value)


def test_unknown_operator_has_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOpError):
        load_model(write(tmp_path, proto([node("Relux", ["x"], "y")])))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "empty"),
        (b"this is no model at all", "not an ONNX file"),
        (b"PK\x03\x04rest of a checkpoint", "zip archive"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"\x00\x00\x00\x00TFL3\x00", "TensorFlow Lite"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_other_files_are_refused(content: bytes, part: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=part):
        load_model(write(tmp_path, content))


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    content = proto([CONV], W).SerializeToString()
    for size in range(0, len(content), 7):
        with pytest.raises(ModelError):
            load_model(write(tmp_path, content[:size]))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_model(tmp_path / "no.onnx")
    with pytest.raises(ModelError, match="folder"):
        load_model(tmp_path)


@pytest.mark.parametrize("opset", [11, 12, 13, 14, 15, 16, 17, 18, 21])
def test_opset_is_at_least_17_and_outputs_stay(opset: int, tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1]),
        node("Softmax", ["c"], "s", axis=1),
        node("Clip", ["s", "low", "high"], "k"),
        node("GlobalAveragePool", ["k"], "y"),
    ]
    constants = {**W, "low": np.float32(0.01), "high": np.float32(0.9)}
    path = write(tmp_path, proto(nodes, constants, opset=opset))
    loaded = load_model(path)
    assert loaded.opset_imports[""] == max(opset, 17)
    feeds = {"x": weights(2, *IMAGE[1:])}  # type: ignore[arg-type]
    assert_close(run(path, feeds), run(loaded, feeds))


def test_attributes_that_became_inputs_are_converted(tmp_path: Path) -> None:
    nodes = [
        node("Unsqueeze", ["x"], "a", axes=[0]),
        node("Squeeze", ["a"], "b", axes=[0]),
        node("ReduceSum", ["b"], "y", axes=[2, 3], keepdims=0),
    ]
    path = write(tmp_path, proto(nodes, opset=11))
    feeds = {"x": weights(2, 3, 8, 8)}
    assert_close(run(path, feeds), run(load_model(path), feeds))


def test_old_style_initializers_are_no_inputs(tmp_path: Path) -> None:
    path = write(tmp_path, proto([CONV], W, inputs={"x": IMAGE, "w": (4, 3, 3, 3)}, opset=11, ir_version=3))
    loaded = load_model(path)
    assert [value.name for value in loaded.graph.inputs] == ["x"]
    assert "w" in loaded.graph.initializers


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    half = {"w": weights(4, 3, 3, 3).astype(np.float16)}
    path = write(tmp_path, proto([CONV], half, dtype=TensorProto.FLOAT16))
    x = weights(2, 3, 8, 8)
    expected = run(path, {"x": x.astype(np.float16)})["y"].astype(np.float32)
    found = run(load_model(path), {"x": x})["y"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_functions_are_inlined(tmp_path: Path) -> None:
    body = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    built = proto([node("Twice", ["x"], "y", domain="mine")])
    built.functions.append(body)
    built.opset_import.append(helper.make_opsetid("mine", 1))
    loaded = load_model(write(tmp_path, built))
    assert [item.op_type for item in loaded.graph] == ["Add"] and not loaded.functions


def test_nodes_are_sorted_and_named_stably(tmp_path: Path) -> None:
    unnamed = [
        helper.make_node("Relu", ["a"], ["y"]),
        helper.make_node("Neg", ["x"], ["a"], name="twin"),
        helper.make_node("Neg", ["x"], ["z"], name="twin"),
    ]
    path = write(tmp_path, proto(unnamed, outputs=("y", "z")))
    names = {item.outputs[0].name: item.name for item in load_model(path).graph}
    assert names == {"a": "twin", "y": "Relu_y", "z": "twin_1"}
    assert names == {item.outputs[0].name: item.name for item in load_model(path).graph}


def test_symbolic_dimensions_keep_their_names(tmp_path: Path) -> None:
    loaded = load_model(write(tmp_path, proto([CONV], W)))
    shape = loaded.graph.outputs[0].shape
    assert shape is not None and [str(side) for side in shape] == ["N", "4", "6", "6"]


@pytest.mark.parametrize("side", [-1, "?"])
def test_unknown_dimensions_that_look_known_are_open(side: int | str, tmp_path: Path) -> None:
    built = proto([CONV], W, inputs={"x": (side, 3, side, side)})
    built.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, (side, 4, side, side)))
    prepared = prepare_model(write(tmp_path, built))
    assert prepared.inputs[0].shape == (None, 3, None, None)
    assert len(prepared.folded.graph.outputs[0].shape or ()) == 4


def test_subgraph_survives(tmp_path: Path) -> None:
    def branch(op_type: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(f"out_{op_type}", TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op_type, ["c"], [f"out_{op_type}"])], op_type, [], [out])

    nodes = [
        node("Conv", ["x", "w"], "c"),
        node("ReduceMax", ["c"], "top", keepdims=0),
        node("Greater", ["top", "limit"], "big"),
        node("If", ["big"], "y", then_branch=branch("Relu"), else_branch=branch("Neg")),
    ]
    path = write(tmp_path, proto(nodes, {**W, "limit": np.float32(1.0)}))
    for scale in (0.001, 10):
        feeds = {"x": weights(2, 3, 8, 8) * np.float32(scale)}
        assert_close(run(path, feeds), run(prepare_model(path).folded, feeds))


def test_helpers_build_what_the_oracle_accepts() -> None:
    assert run(model([CONV], W), {"x": weights(1, 3, 8, 8)})["y"].shape == (1, 4, 6, 6)
