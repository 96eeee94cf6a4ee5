"""Engines that TensorRT for RTX really builds here, without a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from digits import DigitsModel
from onnx_graphs import model, node, proto, weights, write
from trt_engines import built_layers, needs_rtx, precision_of, quantized, rtx

from zsq_export import CalibrationOptions, PlanOptions, TargetOptions, convert
from zsq_export.backends.options import ShapeRanges
from zsq_export.backends.registry import get_backend
from zsq_export.backends.tensorrt_gpu.rules import check_rules
from zsq_export.cli import main
from zsq_export.errors import KernelMissingError, ModelError, UsageError
from zsq_export.graph.quantized import load_quantized
from zsq_export.planning.schemes import Scheme

pytestmark = needs_rtx
CONVS = model(
    [node("Conv", ["x", "w", "b"], "c"), node("Relu", ["c"], "r"), node("Conv", ["r", "v"], "d"),
     node("GlobalAveragePool", ["d"], "g"), node("Flatten", ["g"], "f"), node("Gemm", ["f", "m"], "y")],
    {"w": weights(16, 3, 3, 3), "b": weights(16), "v": weights(64, 16, 3, 3), "m": weights(64, 32)},
)  # fmt: skip
SCHEMES = {Scheme.INT8: "i8", Scheme.FP8: "f8", Scheme.FP16: "f16"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_layer_computes_in_the_scheme(scheme: Scheme, tmp_path: Path) -> None:
    layers = built_layers(CONVS, rtx(scheme), tmp_path)
    assert {name: precision_of(layers, name) for name in ("c_node", "d_node", "y_node")} == dict.fromkeys(
        ("c_node", "d_node", "y_node"), SCHEMES[scheme]
    )
    assert sum(layer.macs for layer in layers) > 0


def test_a_product_reads_four_bit_weights(tmp_path: Path) -> None:
    graph = model([node("MatMul", ["x", "m"], "y")], {"m": weights(1024, 512)}, inputs={"x": ("N", 1024)})
    layers = built_layers(graph, rtx(Scheme.INT4_WEIGHT), tmp_path)
    assert precision_of(layers, "y_node") == "i4"
    typed = onnx.load(tmp_path / "typed.onnx")
    assert onnx.TensorProto.INT4 in {item.data_type for item in typed.graph.initializer}


def test_the_engine_holds_the_narrow_weights(tmp_path: Path) -> None:
    big = model([node("Conv", ["x", "w"], "y")], {"w": weights(512, 256, 3, 3)}, inputs={"x": ("N", 256, 8, 8)})
    sizes = {}
    for scheme in SCHEMES:
        folder = tmp_path / scheme.value
        folder.mkdir()
        qdq, made = quantized(big, rtx(scheme))
        rtx(scheme).lower(qdq, made, folder)
        sizes[scheme] = (folder / "model.engine").stat().st_size
    assert sizes[Scheme.INT8] < 0.7 * sizes[Scheme.FP16]
    assert sizes[Scheme.FP8] < 0.7 * sizes[Scheme.FP16]
    assert sizes[Scheme.FP16] < 0.6 * 4 * 512 * 256 * 9


def test_from_file_to_artifact_and_by_its_rules(digits_model: DigitsModel, tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", x=digits_model.x_train_pixels[:50])
    calibration = CalibrationOptions(
        calibrator="data", data=tmp_path / "train.npz", preprocessing=digits_model.preprocessing
    )
    for scheme in (Scheme.INT8, Scheme.FP8, Scheme.INT4_WEIGHT, Scheme.FP16):
        out = tmp_path / scheme.value
        (artifact,) = convert(
            digits_model.path, targets=["tensorrt-rtx"], output=out, calibration=calibration,
            target_options=TargetOptions(scheme=scheme),
        )  # fmt: skip
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["lowered"] == ["model.engine", "layers.json"]
        assert manifest["options"]["scheme"] == scheme.value
        assert manifest["versions"]["target runtime"].startswith("tensorrt-rtx 1.")
        assert json.loads((out / "layers.json").read_text())["layers"]
        assert ("never run" in " ".join(artifact.manifest.notes)) == (scheme is Scheme.INT8)
        assert check_rules(load_quantized(out / "qdq.onnx")) == ()


def test_all_but_the_engine_is_the_same_again(digits_model: DigitsModel, tmp_path: Path) -> None:
    calibration = CalibrationOptions(calibrator="random")
    files = []
    for name in ("first", "second"):
        convert(digits_model.path, targets=["tensorrt-rtx"], output=tmp_path / name, calibration=calibration,
                target_options=TargetOptions(scheme=Scheme.INT8))  # fmt: skip
        files.append({file: (tmp_path / name / file).read_bytes() for file in ("plan.json", "qdq.onnx", "typed.onnx")})
    assert files[0] == files[1]


def test_a_layer_without_an_integer_kernel_goes_back_to_float16(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], "r"),
        node("ConvTranspose", ["r", "t"], "u", strides=[2, 2]),
        node("Conv", ["u", "v"], "y"),
    ]
    constants = {"w": weights(32, 3, 3, 3), "t": weights(32, 32, 2, 2), "v": weights(16, 32, 3, 3)}
    path = write(tmp_path, proto(nodes, constants))
    convert(
        path,
        targets=["tensorrt-rtx"],
        output=tmp_path / "out",
        calibration=CalibrationOptions(calibrator="random"),
        target_options=TargetOptions(scheme=Scheme.INT8),
    )
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    left = {op["node"]: op["reason"] for op in plan["float_ops"]}
    assert "in f16 although it is quantized" in left["u_node"]
    assert {use["node"] for item in plan["tensors"] for use in item["uses"]} == {"c_node", "y_node"}
    graph = onnx.load(tmp_path / "out" / "qdq.onnx").graph
    assert [item.op_type for item in graph.node].count("QuantizeLinear") == 2


def test_a_node_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    graph = model([node("Conv", ["x", "w"], "c"), node("Det", ["c"], "y")], {"w": weights(16, 3, 3, 3)})
    with pytest.raises(ModelError, match="'y_node'") as caught:
        built_layers(graph, rtx(Scheme.FP16), tmp_path)
    assert not isinstance(caught.value, KernelMissingError)


def test_shapes_and_devices_are_checked(tmp_path: Path) -> None:
    open_sides = model([node("Conv", ["x", "w"], "y")], {"w": weights(16, 3, 3, 3)}, inputs={"x": ("N", 3, "H", "W")})
    with pytest.raises(UsageError, match="no default"):
        built_layers(open_sides, rtx(Scheme.FP16), tmp_path)
    shape = ("x", (1, 3, 16, 16))
    given = rtx(Scheme.FP16, shapes=ShapeRanges(minimum=(shape,), maximum=(("x", (2, 3, 32, 32)),)))
    assert built_layers(open_sides, given, tmp_path)
    with pytest.raises(UsageError, match=r"9\.0.*8\.9"):
        rtx(Scheme.FP16, compute_capabilities=("9.0",))
    assert built_layers(CONVS, rtx(Scheme.FP16, compute_capabilities=("8.9", "12.0")), tmp_path)


def test_too_little_memory_says_so(tmp_path: Path) -> None:
    image = model([node("Conv", ["x", "w"], "y")], {"w": weights(64, 64, 3, 3)}, inputs={"x": ("N", 64, 128, 128)})
    try:
        built_layers(image, rtx(Scheme.INT8, workspace_mib=1), tmp_path)
    except UsageError as error:
        assert "--workspace" in str(error)


def test_options_of_the_other_package_are_refused() -> None:
    with pytest.raises(UsageError, match="--version-compatible"):
        rtx(version_compatible=True)
    with pytest.raises(UsageError, match="--compute-capability"):
        get_backend("tensorrt").configured(TargetOptions(compute_capabilities=("8.9",)))


def test_without_a_gpu_it_does_not_run(
    digits_model: DigitsModel, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    if get_backend("tensorrt-rtx").probe().available:
        pytest.skip("this machine has a GPU that it runs on")
    convert(digits_model.path, targets=["tensorrt-rtx"], output=tmp_path / "out",
            calibration=CalibrationOptions(calibrator="random"))  # fmt: skip
    assert main(["validate", str(tmp_path / "out")]) == 4
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert "NVIDIA GPU" in lines[0]


def test_rounding_methods_leave_floats_and_blocks_alone(digits_model: DigitsModel, tmp_path: Path) -> None:
    for scheme, rounding in ((Scheme.INT8, "squant"), (Scheme.FP8, "nearest")):
        convert(
            digits_model.path,
            targets=["tensorrt-rtx"],
            output=tmp_path / scheme.value,
            calibration=CalibrationOptions(calibrator="random"),
            planning=PlanOptions(rounding="squant"),
            target_options=TargetOptions(scheme=scheme),
        )
        assert json.loads((tmp_path / scheme.value / "plan.json").read_text())["rounding"] == rounding
