"""Layers as the builder's log and as the engine inspector tell them."""

from __future__ import annotations

import json

from zsq_export.backends.tensorrt_gpu.layers import (
    computing,
    layers_from_inspector,
    layers_from_json,
    layers_from_log,
    layers_to_json,
    with_macs,
)

LOG = """Layers:
Name: call_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 0, Metadata: 
Name: /c/Conv_1, LayerType: correlation, Inputs: [ { Name: a, Dimensions: [-1,4], Datatype: Int8, Format: x }], \
Constants: [ { Name: k, Datatype: Float, Format: x }], Outputs: [ { Name: o, Datatype: Half, Format: x }], \
TacticName: t, StreamId: 0, Metadata: [ONNX Layer: /c/Conv][ONNX Layer: x_DequantizeLinear]
Name: k_2, LayerType: kgen, Inputs: [ { Name: o, Datatype: Half, Format: x}], Outputs: [ { Name: p, Datatype: Float}], \
TacticName: t, StreamId: 0, Metadata: [ONNX Layer: /c/Conv][ONNX Layer: /r/Relu]
"""  # noqa: W291  # the builder ends its first line with a space

INSPECTED = json.dumps({
    "Layers": [
        {
            "Name": "conv", "LayerType": "CaskConvolution",
            "Inputs": [{"Name": "a", "Format/Datatype": "Channel major INT8 format where channel % 32 == 0"}],
            "Outputs": [{"Name": "o", "Format/Datatype": "Row major linear FP16 format"}],
            "Metadata": "[ONNX Layer: /c/Conv]\\u001e[ONNX Layer: /r/Relu]",
        },
        {"Name": "gemm", "LayerType": "gemm", "Inputs": [{"Name": "b", "Datatype": "FP8"}], "Metadata": ""},
    ],
    "Bindings": ["x", "y"],
})  # fmt: skip


def test_layers_from_the_log() -> None:
    layers = layers_from_log(["noise", LOG])
    assert [layer.kind for layer in layers] == ["shape_call", "correlation", "kgen"]
    assert layers[1].inputs == ("i8", "f32")
    assert layers[1].outputs == ("f16",)
    assert layers[1].nodes == ("/c/Conv", "x_DequantizeLinear")
    assert [layer.precision for layer in layers] == ["", "i8", "f16"]
    assert layers_from_log(["no layers here"]) == ()


def test_layers_from_the_inspector() -> None:
    conv, gemm = layers_from_inspector(INSPECTED)
    assert (conv.precision, conv.outputs, conv.nodes) == ("i8", ("f16",), ("/c/Conv", "/r/Relu"))
    assert (gemm.precision, gemm.nodes) == ("f8", ())


def test_arithmetic_counts_where_products_are_computed() -> None:
    layers = with_macs(layers_from_log([LOG]), {"/c/Conv": 10, "elsewhere": 5})
    assert [layer.macs for layer in layers] == [0, 10, 0]
    found = computing(layers, "/c/Conv")
    assert found is not None
    assert found.kind == "correlation"
    assert computing(layers, "/r/Relu") is layers[2]
    assert computing(layers, "elsewhere") is None
    assert layers_from_json(layers_to_json(layers)) == layers
