"""A ResNet-50 of random weights: engines of its size are mostly weights, not kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""(width, blocks, stride of the first): He et al. 2015, table 1."""
EXPANSION = 4


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def constant(self, name: str, *shape: int) -> str:
        scale = np.sqrt(2 / max(1, int(np.prod(shape[1:]))))
        array = (self._rng.normal(size=shape) * scale).astype(np.float32)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op_type: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=f"{output}/{op_type}", **attributes))
        return output

    def conv(self, source: str, name: str, channels: tuple[int, int], kernel: int, stride: int = 1) -> str:
        weight = self.constant(f"{name}.weight", channels[1], channels[0], kernel, kernel)
        bias = self.constant(f"{name}.bias", channels[1])
        pads = [kernel // 2] * 4
        return self.node("Conv", [source, weight, bias], name, strides=[stride] * 2, pads=pads)

    def block(self, source: str, name: str, channels: int, width: int, stride: int) -> str:
        out = width * EXPANSION
        a = self.node("Relu", [self.conv(source, f"{name}.1", (channels, width), 1)], f"{name}.1r")
        b = self.node("Relu", [self.conv(a, f"{name}.2", (width, width), 3, stride)], f"{name}.2r")
        c = self.conv(b, f"{name}.3", (width, out), 1)
        same = channels == out and stride == 1
        shortcut = source if same else self.conv(source, f"{name}.s", (channels, out), 1, stride)
        return self.node("Relu", [self.node("Add", [c, shortcut], f"{name}.a")], f"{name}.r")


def write_resnet50(path: Path) -> Path:
    """Writes the network: input "x" [N, 3, 224, 224], 25.5 million parameters, BatchNorm folded."""
    writer = _Writer()
    value = writer.node("Relu", [writer.conv("x", "stem", (3, 64), 7, 2)], "stem.r")
    value = writer.node("MaxPool", [value], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (width, blocks, stride) in enumerate(STAGES):
        for index in range(blocks):
            value = writer.block(value, f"s{stage}.{index}", channels, width, stride if index == 0 else 1)
            channels = width * EXPANSION
    value = writer.node("Flatten", [writer.node("GlobalAveragePool", [value], "gap")], "flat")
    writer.node("Gemm", [value, writer.constant("fc.weight", channels, 1000), writer.constant("fc.bias", 1000)], "y")
    graph = helper.make_graph(
        writer.nodes,
        "resnet50",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 1000])],
        writer.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path
