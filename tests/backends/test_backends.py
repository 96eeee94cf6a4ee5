"""Both CPU backends on a trained network: what they compute, what runs in integers, what they refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from digits import DigitsModel
from onnx_graphs import model, node, random_feeds, run, weights
from plans import plan

from zsq_export.backends.base import Backend
from zsq_export.backends.options import FloatPrecision
from zsq_export.backends.registry import backend_names, get_backend
from zsq_export.errors import ArtifactError, DataError, UsageError, ZsqError
from zsq_export.execution.collect import collect_statistics
from zsq_export.graph.prepare import prepare_model
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning import make_plan
from zsq_export.planning.plan import Plan
from zsq_export.quantization.metrics import sqnr_db

NAMES = ("onnxruntime", "openvino", "tflite")


@pytest.fixture(params=NAMES)
def backend(request: pytest.FixtureRequest) -> Backend:
    found = get_backend(request.param)
    if not found.probe().available:
        pytest.skip(f"{request.param} is not installed")
    return found


def _quantized(float_model: ir.Model, made: Plan) -> ir.Model:
    copy = float_model.clone()
    InsertQdq(made)(copy)
    return copy


@pytest.fixture(scope="module")
def digits(digits_model: DigitsModel) -> tuple[object, object]:
    ready = prepare_model(digits_model.path)
    return ready, collect_statistics(ready.folded, {"x": digits_model.x_test[:64]})


def test_both_are_registered() -> None:
    assert set(NAMES) <= set(backend_names())


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    with pytest.raises(UsageError, match="openvino"):
        get_backend("openvinoo")


def test_the_trained_network(backend: Backend, digits: tuple, digits_model: DigitsModel, tmp_path: Path) -> None:
    ready, statistics = digits
    made = make_plan(ready, statistics, backend.placement())
    files = backend.lower(_quantized(ready.folded, made), made, tmp_path)
    assert all((tmp_path / name).is_file() for name in files)
    runner = backend.open(tmp_path / files[0], threads=1)
    feeds = {"x": digits_model.x_test[:100]}
    expected = backend.open_float(ready.folded, FloatPrecision.F32, threads=1).run(feeds)["logits"]
    found = runner.run(feeds)["logits"]
    assert sqnr_db(expected, found) > 20
    assert np.mean(expected.argmax(1) == found.argmax(1)) >= 0.98
    ops = runner.executed_precisions()
    integer = sum(op.macs for op in ops if op.precision in ("i8", "u8"))
    assert integer == sum(op.macs for op in ops) > 0


def test_float_macs_are_those_of_the_shapes(backend: Backend, digits: tuple) -> None:
    from zsq_export.graph.macs import node_macs

    ready, _ = digits
    ops = backend.open_float(ready.folded, FloatPrecision.F32, threads=1).executed_precisions()
    assert sum(op.macs for op in ops) == sum(node_macs(ready.folded).values())
    assert {op.precision for op in ops if op.macs} == {"f32"}


def test_the_same_model_gives_the_same_bytes(backend: Backend, digits: tuple, tmp_path: Path) -> None:
    ready, statistics = digits
    made = make_plan(ready, statistics, backend.placement())
    contents = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        files = backend.lower(_quantized(ready.folded, made), made, folder)
        contents.append([(folder / file).read_bytes() for file in files])
    assert contents[0] == contents[1]


def test_weights_are_stored_as_integers(backend: Backend, tmp_path: Path) -> None:
    graph = model([node("Conv", ["x", "w", "b"], "y")], {"w": weights(256, 3, 3, 3), "b": weights(256)})
    made = plan(graph, backend.placement())
    files = backend.lower(_quantized(graph, made), made, tmp_path)
    weight = max((tmp_path / file for file in files), key=lambda path: (path.suffix == ".bin", path.name))
    assert weight.stat().st_size < 3 * 256 * 27


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_any_batch_of_a_dynamic_model(backend: Backend, batch: int) -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})
    feeds = random_feeds(graph, batch=batch)
    runner = backend.open_float(graph, FloatPrecision.F32, threads=1)
    assert np.allclose(runner.run(feeds)["y"], run(graph, feeds)["y"], atol=1e-4)
    runner.bind(feeds)()


def test_many_batch_sizes_share_a_model(backend: Backend) -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)})
    runner = backend.open_float(graph, FloatPrecision.F32, threads=1)
    for batch in range(1, 8):
        assert runner.run(random_feeds(graph, batch=batch))["y"].shape[0] == batch


def test_bf16_only_where_the_backend_has_it(backend: Backend) -> None:
    graph = model([node("Relu", ["x"], "y")])
    if FloatPrecision.BF16 in backend.float_precisions():
        ops = backend.open_float(graph, FloatPrecision.BF16, threads=1)
        assert ops.run(random_feeds(graph))["y"].shape
    elif backend.name == "onnxruntime":
        with pytest.raises(UsageError, match="bf16"):
            backend.open_float(graph, FloatPrecision.BF16, threads=1)


def test_wrong_inputs_are_named(backend: Backend) -> None:
    runner = backend.open_float(
        model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)}), FloatPrecision.F32, threads=1
    )
    with pytest.raises(DataError, match="'x'"):
        runner.run({"z": np.zeros(1, dtype=np.float32)})
    with pytest.raises(DataError):
        runner.run({"x": np.zeros((1, 5, 8, 8), dtype=np.float32)})


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_broken_file_is_refused(backend: Backend, content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / {"openvino": "model.xml", "onnxruntime": "model.onnx", "tflite": "model.tflite"}[backend.name]
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ZsqError):
        backend.open(file, threads=1)
    if content is None:
        with pytest.raises(ArtifactError):
            backend.open(file, threads=1)


def test_importing_a_backend_imports_no_runtime() -> None:
    code = (
        "import sys; from zsq_export.backends import onnxruntime_cpu, openvino_cpu, tflite_edge;"
        "print([name for name in ('openvino', 'onnxruntime', 'ai_edge_litert', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


UNUSUAL = {
    "conv transpose": [node("ConvTranspose", ["x", "w"], "y", strides=[2, 2])],
    "grouped conv transpose": [node("ConvTranspose", ["x", "wg"], "y", group=3)],
    "squeeze and excite": [
        node("Conv", ["x", "w"], "c"),
        node("GlobalAveragePool", ["c"], "g"),
        node("Conv", ["g", "w1"], "f"),
        node("HardSigmoid", ["f"], "s"),
        node("Mul", ["c", "s"], "m"),
        node("Conv", ["m", "w"], "y"),
    ],
    "hard swish": [node("Conv", ["x", "w"], "c"), node("HardSwish", ["c"], "h"), node("Conv", ["h", "w"], "y")],
    "layer norm": [
        node("Conv", ["x", "w"], "c"),
        node("LayerNormalization", ["c", "n"], "l", axis=-1),
        node("Softmax", ["l"], "s"),
        node("MatMul", ["s", "c"], "y"),
    ],
    "resize": [
        node("Conv", ["x", "w"], "c"),
        node("Resize", ["c", "", "up"], "r", mode="nearest"),
        node("Conv", ["r", "w"], "y"),
    ],
    "pad with a value": [node("Pad", ["x", "pads", "seven"], "p"), node("Conv", ["p", "w"], "y")],
    "split": [
        node("Conv", ["x", "w6"], "c"),
        node("Slice", ["c", "zero", "three", "one"], "a"),
        node("Slice", ["c", "three", "six", "one"], "b"),
        node("Conv", ["a", "w"], "d"),
        node("Sub", ["d", "b"], "e"),
        node("Conv", ["e", "w"], "y"),
    ],
    "dense block": [
        node("Conv", ["x", "w"], "c"),
        node("Concat", ["x", "c"], "k", axis=1),
        node("Mul", ["k", "six_ones"], "m"),
        node("Relu", ["m"], "r"),
        node("Conv", ["r", "w66"], "y"),
    ],
    "no weights": [node("Sin", ["x"], "y")],
    "activations only": [node("Transpose", ["x"], "t", perm=[0, 1, 3, 2]), node("MatMul", ["x", "t"], "y")],
}
CONSTANTS = {
    "w": weights(3, 3, 1, 1),
    "w1": weights(3, 3, 1, 1, seed=2),
    "w6": weights(6, 3, 1, 1),
    "w66": weights(6, 6, 1, 1),
    "wg": weights(3, 2, 2, 2),
    "n": weights(8),
    "up": np.array([1, 1, 2, 2], dtype=np.float32),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "seven": np.float32(7),
    "zero": np.array([0]),
    "one": np.array([1]),
    "three": np.array([3]),
    "six": np.array([6]),
    "six_ones": weights(1, 6, 1, 1),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_graphs_run_and_stay_close(backend: Backend, name: str, tmp_path: Path) -> None:
    used = {tensor for item in UNUSUAL[name] for tensor in item.input}
    graph = model(UNUSUAL[name], {key: array for key, array in CONSTANTS.items() if key in used})
    made = plan(graph, backend.placement())
    files = backend.lower(_quantized(graph, made), made, tmp_path)
    feeds = random_feeds(graph, batch=4)
    found = backend.open(tmp_path / files[0], threads=1).run(feeds)["y"]
    assert sqnr_db(run(graph, feeds)["y"], found) > 20
