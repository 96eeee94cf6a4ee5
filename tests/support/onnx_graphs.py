"""Small ONNX files for tests of the graph and its passes, and ONNX Runtime as their oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zsq_export.graph.prepared import InputInfo
from zsq_export.graph.saving import serialize_model
from zsq_export.graph.shapes import infer_shapes

Arrays = Mapping[str, NDArray[Any]]
IMAGE = ("N", 3, 8, 8)


def node(op_type: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    """One node with one output; called like its output unless named."""
    return helper.make_node(op_type, list(inputs), [output], name=name or f"{output}_node", **attributes)


def proto(
    nodes: Sequence[onnx.NodeProto],
    constants: Arrays | None = None,
    *,
    inputs: Mapping[str, Sequence[int | str] | None] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    dtype: int = onnx.TensorProto.FLOAT,
    ir_version: int = 8,
) -> onnx.ModelProto:
    """A model with float inputs (default: "x", N×3×8×8) and outputs of unknown shape."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in (inputs or {"x": IMAGE}).items()],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def model(*arguments: Any, **keywords: Any) -> ir.Model:
    """The same as an onnx_ir model with shapes inferred."""
    built = ir.from_proto(proto(*arguments, **keywords))
    infer_shapes(built)
    return built


def write(folder: Path, content: onnx.ModelProto | bytes, name: str = "model.onnx") -> Path:
    """Writes a model, or bytes as they are."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def weights(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def batchnorm_constants(prefix: str, channels: int, seed: int = 1) -> dict[str, NDArray[np.float32]]:
    """gamma, beta, mean and variance called ``<prefix>_0`` .. ``<prefix>_3``; some gammas are negative."""
    rng = np.random.default_rng(seed)
    arrays = (
        rng.normal(1, 0.8, channels),
        rng.normal(size=channels),
        rng.normal(size=channels),
        rng.uniform(0.2, 2, channels),
    )
    return {f"{prefix}_{index}": array.astype(np.float32) for index, array in enumerate(arrays)}


def batchnorm(source: str, output: str, prefix: str, **attributes: Any) -> onnx.NodeProto:
    """A BatchNormalization that reads :func:`batchnorm_constants`."""
    return node("BatchNormalization", [source, *(f"{prefix}_{index}" for index in range(4))], output, **attributes)


def session(content: ir.Model | onnx.ModelProto | bytes | Path, *, optimize: bool = False) -> ort.InferenceSession:
    """An ONNX Runtime session on one thread, without optimisation unless asked."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if isinstance(content, ir.Model):
        content = serialize_model(content)
    elif isinstance(content, onnx.ModelProto):
        content = content.SerializeToString()
    return ort.InferenceSession(
        str(content) if isinstance(content, Path) else content, options, providers=["CPUExecutionProvider"]
    )


def run(
    content: ir.Model | onnx.ModelProto | bytes | Path, feeds: Arrays, *, optimize: bool = False
) -> dict[str, NDArray[Any]]:
    """Graph output name -> array."""
    live = session(content, optimize=optimize)
    return dict(zip([value.name for value in live.get_outputs()], live.run(None, dict(feeds)), strict=True))


def feeds_for(inputs: Sequence[InputInfo], batch: int = 2, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Normal numbers for each input; open dimensions become ``batch``."""
    rng = np.random.default_rng(seed)
    return {
        item.name: rng.normal(size=[batch if side is None else side for side in item.shape]).astype(np.float32)
        for item in inputs
    }


def random_feeds(built: ir.Model, batch: int = 2) -> dict[str, NDArray[np.float32]]:
    """The same for all inputs of a model."""
    infos = [
        InputInfo(
            name=str(value.name), shape=tuple(side if isinstance(side, int) else None for side in value.shape or ())
        )
        for value in built.graph.inputs
    ]
    return feeds_for(infos, batch)


def assert_close(expected: Arrays, found: Arrays, tolerance: float = 1e-5) -> None:
    """Same names, shapes and, relative to the largest magnitude of each output, values."""
    assert list(expected) == list(found)
    for name, reference in expected.items():
        assert reference.shape == found[name].shape, name
        scale = float(np.abs(reference).max(initial=0)) or 1.0
        assert float(np.abs(reference - found[name]).max(initial=0)) <= tolerance * scale, name


def assert_pass_keeps_outputs(built: ir.Model, item: ir.passes.InPlacePass, tolerance: float = 1e-5) -> ir.Model:
    """Applies the pass and compares with the model before; the result must also pass the ONNX checker."""
    feeds = random_feeds(built)
    before = run(built, feeds)
    item(built)
    onnx.checker.check_model(onnx.load_from_string(serialize_model(built)), full_check=True)
    assert_close(before, run(built, feeds), tolerance)
    return built


def op_types(built: ir.Model) -> list[str]:
    """Operators in graph order."""
    return [item.op_type for item in built.graph]
