"""Read back from the file, every scale, zero point, weight and bias is the plan's, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from digits import DigitsModel

from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.graph.topology import constant_value
from zsq_export.options import CalibrationOptions
from zsq_export.pipeline import calibrate, insert_qdq, plan_for
from zsq_export.planning import PlanOptions
from zsq_export.planning.plan import Plan, Role

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from ai_edge_litert import schema_py_generated as schema

ASSETS = (
    "cifar10/resnet20_akamaster.onnx", "cifar10/resnet20_chenyaofo.onnx", "cifar10/resnet56_akamaster.onnx",
    "cifar10/vit_d6_smmk47.onnx", "imagenet/efficientnet_lite0_224.onnx", "imagenet/mobilenetv1_075_224.onnx",
    "mlperf_tiny/ic_resnet8.onnx", "mlperf_tiny/kws_dscnn.onnx", "coco/fastestdet_352.onnx",
    "superres/espcn_x3_224.onnx",
)  # fmt: skip
WEIGHTED = {"CONV_2D": (0, 2, 3, 1), "DEPTHWISE_CONV_2D": (1, 2, 3, 0), "FULLY_CONNECTED": (0, 1)}
_KINDS = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_DTYPES = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}


class _File:
    def __init__(self, content: bytes) -> None:
        self.model = schema.ModelT.InitFromPackedBuf(content)
        self.graph = self.model.subgraphs[0]

    def name(self, index: int) -> str:
        return str(self.graph.tensors[index].name.decode())

    def scales(self, index: int) -> tuple[list[float], list[int]]:
        quant = self.graph.tensors[index].quantization
        return [float(s) for s in quant.scale], [int(z) for z in quant.zeroPoint]

    def data(self, index: int) -> np.ndarray[Any, Any]:
        tensor = self.graph.tensors[index]
        raw = np.asarray(self.model.buffers[tensor.buffer].data, dtype=np.uint8).tobytes()
        return np.frombuffer(raw, dtype=_DTYPES[tensor.type]).reshape(tensor.shape)

    def kind(self, op: Any) -> str:
        return _KINDS[self.model.operatorCodes[op.opcodeIndex].builtinCode]


def _check(path: Path) -> None:
    calibrated = calibrate(path, CalibrationOptions(calibrator="random", samples=4))
    backend = TfliteEdge()
    made = plan_for(calibrated, backend, PlanOptions())
    qdq = insert_qdq(calibrated.prepared, made)
    file = _File(backend._emitted(qdq))
    weights = [item for item in made.tensors if item.role is Role.WEIGHT and item.qparams.axis is not None]
    assert _check_weights(file, made, qdq) == len(weights)
    assert _check_activations(file, made) >= len(weights)


def _check_weights(file: _File, made: Plan, qdq: ir.Model) -> int:
    stored = {name: constant_value(value) for name, value in qdq.graph.initializers.items()}
    weights = {item.tensor: item for item in made.tensors if item.role is Role.WEIGHT}
    biases = {use.node: item for item in made.tensors if item.role is Role.BIAS for use in item.uses}
    found = set()
    for op in file.graph.operators:
        kind = file.kind(op)
        item = weights.get(file.name(op.inputs[1])) if kind in WEIGHTED else None
        if item is None:
            continue
        integers = stored[f"{item.tensor}_quantized"]
        assert integers is not None
        order = WEIGHTED[kind]
        if kind == "FULLY_CONNECTED" and item.qparams.axis == 1:
            order = (1, 0)
        expected, stored_weight = integers.transpose(order), file.data(op.inputs[1])
        results = stored_weight.shape[0] // expected.shape[0] if kind == "CONV_2D" else 1
        if expected.shape != stored_weight.shape:
            expected = _joined(expected, stored_weight.shape, _reader(qdq, item.tensor))
        assert np.array_equal(expected, stored_weight), item.tensor
        assert file.scales(op.inputs[1]) == (
            list(item.qparams.scale) * results,
            list(item.qparams.zero_point) * results,
        )
        found.add(item.tensor)
        node = file.name(op.inputs[2]).removesuffix("_bias")
        bias = biases.get(node)
        if bias is not None:
            name = next(name for name in stored if name.startswith(f"{bias.tensor}_quantized"))
            if sum(other.tensor == bias.tensor for other in biases.values()) == 1:
                assert np.array_equal(np.tile(stored[name], results), file.data(op.inputs[2]))  # type: ignore[arg-type]
            assert file.scales(op.inputs[2]) == (
                list(bias.qparams.scale) * results,
                list(bias.qparams.zero_point) * results,
            )
    return len(found)


def _reader(qdq: ir.Model, weight: str) -> ir.Node:
    return next(
        node
        for node in qdq.graph
        if node.op_type == "Conv" and str(node.inputs[1].name).startswith(weight)  # type: ignore[union-attr]
    )


def _joined(plain: np.ndarray[Any, Any], shape: tuple[int, ...], conv: ir.Node) -> np.ndarray[Any, Any]:
    """The plan's integers at the places that they have where pixels are joined, and zeros elsewhere."""
    out, height, width, channels = plain.shape
    strides, pads = conv.attributes.get_ints("strides", (1, 1)), conv.attributes.get_ints("pads", (0, 0, 0, 0))
    blocks = shape[1] != height
    factor = 2 if blocks else shape[3] // channels
    begin = 0 if blocks else pads[1]
    found = np.zeros(shape, dtype=plain.dtype)
    for result in range(shape[0] // out):
        for y, x in np.ndindex(height, width):
            column = result * strides[1] + x - begin
            tap = column // factor + -(-begin // factor)
            row, inner = (y // 2, y % 2 * 2 + column % 2) if blocks else (y, column % factor)
            rows = slice(result * out, (result + 1) * out)
            found[rows, row, tap, inner * channels : (inner + 1) * channels] = plain[:, y, x]
    return found


def _check_activations(file: _File, made: Plan) -> int:
    planned = {item.tensor: item.qparams for item in made.tensors if item.role is not Role.BIAS}
    allowed = {(item.scale[0], item.zero_point[0]) for item in planned.values() if item.axis is None}
    named = 0
    for index, tensor in enumerate(file.graph.tensors):
        if tensor.type != schema.TensorType.INT8 or len(tensor.quantization.scale) > 1 or tensor.buffer:
            continue
        scale, zero_point = file.scales(index)
        name = file.name(index)
        item = (
            planned.get(name)
            or planned.get(name.removesuffix("_float"))
            or planned.get(name.removesuffix("_quantized"))
        )
        if item is not None and item.axis is None:
            named += 1
            assert (scale, zero_point) == (list(item.scale), list(item.zero_point)), name
        assert (scale[0], zero_point[0]) in allowed, name
    return named


def test_digits(digits_model: DigitsModel) -> None:
    _check(digits_model.path)


@pytest.mark.assets
@pytest.mark.parametrize("name", ASSETS)
def test_assets(assets_dir: Path, name: str) -> None:
    _check(assets_dir / name)
