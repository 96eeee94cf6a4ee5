"""Every kind of bad input: one line that says what to do, the right exit code, nothing left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Build = Callable[[Path, Any], Path]


def save(folder: Path, model: onnx.ModelProto, **options: Any) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, str(path), **options)
    return path


def not_onnx(folder: Path, _digits: Any) -> Path:
    path = folder / "model.onnx"
    path.write_text("hello")
    return path


def truncated(folder: Path, digits: Any) -> Path:
    path = folder / "model.onnx"
    content = digits.path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def cyclic(folder: Path, _digits: Any) -> Path:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
    ]
    return save(folder, small_model(nodes, "b"))


def external_missing(folder: Path, digits: Any) -> Path:
    path = save(folder, onnx.load(digits.path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder / "weights.bin").unlink()
    return path


def external_outside(folder: Path, digits: Any) -> Path:
    path = save(folder, onnx.load(digits.path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    shutil.move(folder / "weights.bin", folder.parent / "weights.bin")
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../weights.bin"
    path.write_bytes(model.SerializeToString())
    return path


def unknown_op(folder: Path, _digits: Any) -> Path:
    node = helper.make_node("Frobnicate", ["x"], ["y"], name="strange", domain="com.example")
    model = small_model([node], "y")
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return save(folder, model)


def no_float_inputs(folder: Path, _digits: Any) -> Path:
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    return save(folder, small_model(nodes, "y", dtype=TensorProto.INT64))


def dynamic_rank(folder: Path, _digits: Any) -> Path:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return save(folder, small_model(nodes, "y", shape=None))


def nan_weights(folder: Path, digits: Any) -> Path:
    model = onnx.load(digits.path)
    tensor = next(entry for entry in model.graph.initializer if len(entry.dims) == 4)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return save(folder, model)


def already_quantized(folder: Path, _digits: Any) -> Path:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="dequantize"),
    ]
    model = small_model(nodes, "y")
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "s"))
    model.graph.initializer.append(numpy_helper.from_array(np.int8(0), "z"))
    return save(folder, model)


def small_model(
    nodes: list[onnx.NodeProto],
    output: str,
    *,
    shape: tuple[int, ...] | None = (1, 3, 8, 8),
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


BAD_MODELS: dict[str, tuple[Build, str]] = {
    "not an ONNX file": (not_onnx, "not an ONNX file"),
    "truncated": (truncated, "truncated"),
    "cyclic": (cyclic, "cycl"),
    "external data missing": (external_missing, "weights.bin' is missing"),
    "external data outside": (external_outside, "weights.bin"),
    "unknown op": (unknown_op, "Frobnicate"),
    "no float inputs": (no_float_inputs, "float input"),
    "dynamic rank": (dynamic_rank, "'x'"),
    "NaN weights": (nan_weights, "NaN"),
    "already quantized": (already_quantized, "already quantized"),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_a_bad_model(kind: str, work: Path, shell: Callable[..., Any], digits_model: Any) -> None:
    build, expected = BAD_MODELS[kind]
    build(work, digits_model)
    before = sorted(work.iterdir())
    outcome = shell("convert", "model.onnx", "--target", "onnxruntime", "--calibrator", "random", "-o", "out")
    assert expected in outcome.error()
    assert "unexpected" not in outcome.err
    assert outcome.code == 1
    assert sorted(work.iterdir()) == before


@pytest.fixture
def artifact(work: Path, here: Callable[..., Any], digits_model: Any) -> Path:
    arguments = ("--target", "onnxruntime", "--calibrator", "random", "-q", "-o", "artifact")
    assert here("convert", digits_model.path, *arguments).code == 0
    return work / "artifact"


def test_data_of_the_wrong_shape(work: Path, shell: Callable[..., Any], artifact: Path) -> None:
    np.savez(work / "data.npz", x=np.zeros((4, 5, 6, 7), np.float32), y=np.zeros(4, int))
    outcome = shell("validate", "artifact", "--data", "data.npz", "--no-latency")
    assert "[4, 5, 6, 7]" in outcome.error()
    assert outcome.code == 1
    assert not (artifact / "report.json").exists()


def test_calibration_data_of_the_wrong_shape(work: Path, shell: Callable[..., Any], digits_model: Any) -> None:
    np.savez(work / "data.npz", x=np.zeros((4, 5, 6, 7), np.float32))
    outcome = shell("convert", digits_model.path, "-t", "onnxruntime", "--calibrator", "data", "--data", "data.npz")
    assert "[4, 5, 6, 7]" in outcome.error()
    assert outcome.code == 1
    assert [entry.name for entry in work.iterdir()] == ["data.npz"]


def test_an_output_folder_that_exists(work: Path, shell: Callable[..., Any], digits_model: Any) -> None:
    (work / "out").mkdir()
    (work / "out" / "thesis.tex").write_text("mine")
    for extra in ((), ("--overwrite",)):
        outcome = shell(
            "convert", digits_model.path, "-t", "onnxruntime", "--calibrator", "random", "-o", "out", *extra
        )
        assert outcome.error().startswith("out ")
        assert outcome.code == 1
    assert [entry.name for entry in (work / "out").iterdir()] == ["thesis.tex"]


def test_an_artifact_is_only_replaced_with_overwrite(
    artifact: Path, here: Callable[..., Any], digits_model: Any
) -> None:
    before = (artifact / "manifest.json").read_bytes()
    arguments = (
        "convert",
        digits_model.path,
        "-t",
        "onnxruntime",
        "--calibrator",
        "random",
        "-o",
        artifact,
        "--seed",
        "9",
    )
    assert "exists already" in here(*arguments).error()
    assert (artifact / "manifest.json").read_bytes() == before
    assert here(*arguments, "--overwrite").code == 0
    assert (artifact / "manifest.json").read_bytes() != before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("kilobytes", [16, 60, 100])
def test_a_full_disk(
    tmp_path: Path, shell: Callable[..., Any], digits_model: Any, kilobytes: int, request: pytest.FixtureRequest
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this system does not let us mount")
    request.addfinalizer(lambda: subprocess.run(["umount", str(small)], check=True))
    arguments = ("-t", "openvino", "--calibrator", "random", "-o", small / "out")
    outcome = shell("convert", digits_model.path, *arguments)
    assert "no space left" in outcome.error()
    assert outcome.code == 1
    assert list(small.iterdir()) == []


def test_a_write_that_fails(
    here: Callable[..., Any], work: Path, digits_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Path, *_arguments: Any, **_options: Any) -> int:
        raise OSError(28, "No space left on device", "plan.json")

    monkeypatch.setattr(Path, "write_text", full)
    outcome = here("convert", digits_model.path, "-t", "onnxruntime", "--calibrator", "random", "-o", "out")
    assert outcome.error() == "plan.json: no space left on device (free some space, or write to another disk with -o)"
    assert list(work.iterdir()) == []
