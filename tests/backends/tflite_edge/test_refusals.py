"""What is not handled is refused by name, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_graphs import model, node, weights
from plans import plan

from zsq_export.backends.options import IoType, Profile, TargetOptions
from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.errors import ModelError, UnsupportedOpError, UsageError
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning.schemes import Scheme

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

REFUSED: dict[str, tuple[list[onnx.NodeProto], str, dict[str, Any]]] = {
    "unknown op": ([node("Det", ["x"], "y")], "no lowering for Det", {}),
    "foreign domain": ([node("Fancy", ["x"], "y", domain="com.example")], "com.example.Fancy", {}),
    "unknown attribute": ([node("Relu", ["x"], "y", mystery=1)], "attribute 'mystery'", {}),
    "pad around": ([node("Pad", ["x", "p"], "y", mode="wrap")], "mode='wrap'", {"opset": 19}),
    "negative pads": ([node("Pad", ["x", "n"], "y")], "negative pads", {}),
    "cubic resize": ([node("Resize", ["x", "", "s"], "y", mode="cubic")], "mode='cubic'", {}),
    "antialiased resize": (
        [node("Resize", ["x", "", "s"], "y", mode="linear", antialias=1)], "antialias", {"opset": 18}
    ),
    "resize of channels": ([node("Resize", ["x", "", "channels"], "y", mode="linear")], "two spatial axes", {}),
    "resize cropped": (
        [
            node(
                "Resize", ["x", "roi", "s"], "y", mode="linear", coordinate_transformation_mode="tf_crop_and_resize"
            )
        ],
        "tf_crop_and_resize",
        {},
    ),
    "scales that are not the ratio": (
        [node("Resize", ["x", "", "odd"], "y", mode="linear", coordinate_transformation_mode="asymmetric")],
        "whole sizes",
        {},
    ),
    "max pool with indices": (
        [onnx.helper.make_node("MaxPool", ["x"], ["a", "y"], kernel_shape=[2, 2], name="pool")],
        "indices",
        {},
    ),
    "dilated max pool": ([node("MaxPool", ["x"], "y", kernel_shape=[2, 2], dilations=[2, 2])], "dilations", {}),
    "average that counts with ceil": (
        [node("AveragePool", ["x"], "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, count_include_pad=1,
              pads=[1, 1, 1, 1])],
        "count_include_pad with ceil_mode",
        {},
    ),
    "3-D convolution": (
        [node("Conv", ["x", "w3"], "y")], "3 spatial axes", {"inputs": {"x": ("N", 3, 8, 8, 8)}}
    ),
    "computed weight": ([node("Conv", ["x", "x"], "y")], "computed at run time", {"inputs": {"x": (3, 3, 8, 8)}}),
    "transposed convolution with output_shape": (
        [node("ConvTranspose", ["x", "w"], "y", output_shape=[8, 8])], "output_shape", {}
    ),
    "transposed convolution, unequal strides": (
        [node("ConvTranspose", ["x", "w"], "y", strides=[1, 2])], "equal strides", {}
    ),
    "response of an even number of channels": ([node("LRN", ["x"], "y", size=4)], "even size 4", {}),
    "prelu with a computed slope": ([node("PRelu", ["x", "x"], "y")], "slope", {}),
    "clip with computed limits": (
        [node("ReduceMax", ["x"], "m", keepdims=0), node("Clip", ["x", "", "m"], "y")], "limits", {}
    ),
    "smallest elements": (
        [onnx.helper.make_node("TopK", ["x", "k"], ["y", "i"], largest=0, name="top")], "largest", {}
    ),
    "last of equal maxima": ([node("ArgMax", ["x"], "y", select_last_index=1)], "select_last_index", {}),
    "split of the batch": (
        [onnx.helper.make_node("Split", ["x"], ["y", "z"], axis=0, name="split")], "batch", {}
    ),
    "open height": ([node("Relu", ["x"], "y")], "only the batch", {"inputs": {"x": ("N", 3, "H", 8)}}),
    "where of constants": ([node("Where", ["yes", "x", "x"], "y")], "condition is a constant", {}),
    "comparison of integers": (
        [node("ArgMax", ["x"], "a", axis=1), node("Equal", ["a", "zero"], "e"), node("Where", ["e", "x", "x"], "y")],
        "compares floats",
        {},
    ),
    "vector product": ([node("MatMul", ["x", "v"], "y")], "vectors", {"inputs": {"x": ("N", 8)}}),
    "group norm per group": (
        [node("GroupNormalization", ["x", "g", "g"], "y", num_groups=1)], "per channel", {"opset": 18}
    ),
    "gemm with a bias per row": (
        [node("Gemm", ["x", "square", "column"], "y")], "from row to row", {"inputs": {"x": (8, 8)}}
    ),
    "more padding than 32 bits hold": ([node("Pad", ["x", "wide"], "y")], r"'y_node': its .* has 8589934592", {}),
    "more repeats than 32 bits hold": ([node("Tile", ["x", "often"], "y")], "'y_node': its .* 32 bits", {}),
    "cast to integers": ([node("Cast", ["x"], "y", to=onnx.TensorProto.INT32)], "Cast", {}),
}  # fmt: skip
CONSTANTS = {
    "w": weights(3, 3, 3, 3),
    "w3": weights(3, 3, 1, 1, 1),
    "p": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "n": np.array([0, 0, -1, 0, 0, 0, 0, 0]),
    "wide": np.array([0, 0, 0, 0, 0, 0, 0, 2**33]),
    "often": np.array([1, 1, 1, 2**40]),
    "s": np.array([1, 1, 2, 2], dtype=np.float32),
    "channels": np.array([1, 2, 2, 2], dtype=np.float32),
    "odd": np.array([1, 1, 1.3, 1.3], dtype=np.float32),
    "roi": np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=np.float32),
    "k": np.array([2]),
    "zero": np.array([0]),
    "yes": np.array([True]),
    "v": weights(8),
    "square": weights(8, 8),
    "column": weights(8, 1),
    "g": weights(1),
}


def _graph(nodes: list[onnx.NodeProto], keywords: dict[str, Any]) -> ir.Model:
    used = {name for item in nodes for name in item.input}
    built = model(nodes, {key: array for key, array in CONSTANTS.items() if key in used}, **keywords)
    return built


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    nodes, message, keywords = REFUSED[name]
    graph = _graph(nodes, keywords)
    with pytest.raises(ModelError, match=message) as caught:
        TfliteEdge().lower(graph, None, tmp_path)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def _quantized(graph: ir.Model, backend: TfliteEdge) -> ir.Model:
    qdq = graph.clone()
    InsertQdq(plan(graph, backend.placement()))(qdq)
    return qdq


def test_int8_only_lists_what_is_not(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], "c"),
        node("Elu", ["c"], "e"),
        node("Div", ["e", "seven"], "d"),
        node("Conv", ["d", "w"], "y"),
    ]
    graph = model(nodes, {"w": weights(3, 3, 1, 1), "seven": np.float32(7)})
    backend = TfliteEdge().configured(TargetOptions(profile=Profile.INT8_ONLY))
    with pytest.raises(UnsupportedOpError, match=r"e_node \(ELU\), d_node \(DIV\)"):
        backend.lower(_quantized(graph, backend), None, tmp_path)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_integer_ends_need_integers_inside(tmp_path: Path) -> None:
    graph = model([node("Elu", ["x"], "y")])
    backend = TfliteEdge().configured(TargetOptions(io=IoType.INT8))
    with pytest.raises(UnsupportedOpError, match="'x' is not read as integers"):
        backend.lower(_quantized(graph, backend), None, tmp_path)  # type: ignore[arg-type]
    graph = model([node("Conv", ["x", "w"], "c"), node("Elu", ["c"], "y")], {"w": weights(3, 3, 1, 1)})
    with pytest.raises(UnsupportedOpError, match="output 'y' is computed in float"):
        backend.lower(_quantized(graph, backend), None, tmp_path)  # type: ignore[arg-type]


def test_a_file_that_would_be_too_large() -> None:
    from zsq_export.backends.tflite_edge.lower import lower_graph
    from zsq_export.backends.tflite_edge.settings import TfliteSettings
    from zsq_export.backends.tflite_edge.writer import to_bytes

    graph = lower_graph(model([node("Conv", ["x", "w"], "y")], {"w": weights(64, 3, 3, 3)}), TfliteSettings()).graph
    with pytest.raises(ModelError, match="file holds at most 1000"):
        to_bytes(graph, limit=1000)


def test_schemes_it_does_not_have() -> None:
    with pytest.raises(UsageError, match="fp8"):
        TfliteEdge().configured(TargetOptions(scheme=Scheme.FP8))
    with pytest.raises(UsageError, match="--workspace"):
        TfliteEdge().configured(TargetOptions(workspace_mib=64))
