"""Rules about where Q and DQ stand."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from zsq_export.backends.tensorrt_gpu.rules.tracing import (
    ACTIVATIONS,
    WEIGHTED,
    Found,
    before_quantizer,
    label,
    quantized_by,
    quantizers,
    scale_of,
    weight_of,
)
from zsq_export.graph.topology import consumers, int_attribute, is_op, only_consumer

_LEFT_FLOAT = (
    "Softmax", "Sigmoid", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "HardSwish",
    "HardSigmoid", "Gelu", "Erf", "Tanh", "Exp", "Pow", "Sqrt", "Div",
)  # fmt: skip
_FEWEST_CHANNELS = 16
_MULTIPLE = 8
_WIDE_KERNEL = 3
_INTEGER_OPS = (
    "QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul", "QLinearGlobalAveragePool", "QLinearAveragePool",
    "QLinearConcat", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "QGemm", "ConvInteger", "MatMulInteger",
    "DynamicQuantizeLinear", "QAttention", "QEmbedLayerNormalization",
)  # fmt: skip


def half_quantized(model: ir.Model) -> Found:
    """Both operands of a weighted op are quantized, or neither (the weight alone only where it is a matrix)."""
    for node in model.graph:
        if not is_op(node, *WEIGHTED):
            continue
        weight = weight_of(node)
        data = quantized_by(node.inputs[0]) is not None
        if weight is None:
            other = quantized_by(node.inputs[1]) is not None
            if data != other:
                yield node, "one of its operands is quantized, the other is not"
        elif data and weight[0] is None:
            yield node, f"its input is quantized, its weight {label(node.inputs[1])} is not"
        elif not data and weight[0] is not None and is_op(node, "Conv", "ConvTranspose"):
            yield node, f"its weight is quantized, its input {label(node.inputs[0])} is not"


def before_activation(model: ir.Model) -> Found:
    """No Q between a weighted op and the activation function after it: they would not fuse."""
    for node in model.graph:
        dequantize = quantized_by(node.inputs[0]) if is_op(node, *ACTIVATIONS) and node.inputs else None
        source = before_quantizer(dequantize) if dequantize is not None else None
        if source is not None and is_op(source, *WEIGHTED, "BatchNormalization"):
            yield node, f"Q and DQ stand between {source.name!r} and this activation: they belong behind it"


def residual_branch(model: ir.Model) -> Found:
    """A residual Add reads the output of a convolution in float, only the identity branch quantized (#1992, #1293)."""
    for node in model.graph:
        found = [item for value in node.inputs if (item := quantized_by(value)) is not None]
        if not is_op(node, "Add") or len(found) < len(node.inputs):
            continue
        alone = (item for item in found if only_consumer(item.outputs[0]) is node)
        sources = (before_quantizer(item) for item in alone)
        source = next((item for item in sources if is_op(item, "Conv", "ConvTranspose")), None)
        if source is not None:
            yield node, f"the output of {source.name!r} is quantized before it is added: quantize only the other branch"


def weighted_output(model: ir.Model) -> Found:
    """The output of a weighted op is quantized although only float ops follow it."""
    for node in model.graph:
        source = node.inputs[0].producer() if is_op(node, "QuantizeLinear") and node.inputs[0] is not None else None
        if source is None or not is_op(source, *WEIGHTED):
            continue
        readers = [reader for item in consumers(node.outputs[0]) for reader in consumers(item.outputs[0])]
        if readers and all(is_op(reader, *_LEFT_FLOAT) for reader in readers):
            yield node, f"the output of {source.name!r} is quantized for {readers[0].op_type}, which runs in float"


def repeated(model: ir.Model) -> Found:
    """One Q and DQ per tensor, however many readers it has."""
    for node in model.graph:
        for value in node.outputs:
            pairs = [reader for reader in consumers(value) if is_op(reader, "QuantizeLinear")]
            if len(pairs) > 1:
                yield pairs[1], f"{label(value)} is quantized {len(pairs)} times: one pair serves all its readers"


def concat_scales(model: ir.Model) -> Found:
    """All inputs of a Concat and its output share one scale, else each is copied to be requantized (#4366)."""
    for node in model.graph:
        found = [quantized_by(value) for value in node.inputs] if is_op(node, "Concat") else []
        scales = [scale for item in found if item is not None and (scale := scale_of(item)) is not None]
        after = [scale_of(reader) for reader in consumers(node.outputs[0]) if is_op(reader, "QuantizeLinear")]
        scales += [scale for scale in after if scale is not None] if scales else []
        if len({float(scale.reshape(-1)[0]) for scale in scales}) > 1:
            yield node, "its quantized inputs and its output have different scales: give them one"


def left_float(model: ir.Model) -> Found:
    """Ops that lose accuracy or fuse better in float16."""
    for node in model.graph:
        if is_op(node, *_LEFT_FLOAT):
            if any(quantized_by(value) is not None for value in node.inputs):
                yield node, "its input is quantized: leave it float"
            elif is_op(node, "Softmax") and any(is_op(item, "QuantizeLinear") for item in consumers(node.outputs[0])):
                yield node, "its output is quantized: leave what follows it float"


def attention(model: ir.Model) -> Found:
    """Products of two activations belong to attention, which fuses in float16."""
    for node in model.graph:
        if is_op(node, "MatMul") and weight_of(node) is None and all(quantized_by(value) for value in node.inputs):
            yield node, "a product of two activations is quantized: leave attention float"


def few_channels(model: ir.Model) -> Found:
    """A small layer gains nothing; a first convolution is exempt, as are kernels of 3 with a multiple of 8."""
    for node in model.graph:
        weight = weight_of(node) if is_op(node, *WEIGHTED) else None
        if weight is None or weight[0] is None or weight[1].ndim < 2:
            continue
        fewest = _fewest(node, weight[1].shape)
        if fewest < _FEWEST_CHANNELS and not _exempt(node, weight[1].shape):
            yield node, f"it has {fewest} channels: below {_FEWEST_CHANNELS} leave it float"


def _fewest(node: ir.Node, shape: tuple[int, ...]) -> int:
    if is_op(node, "Conv", "ConvTranspose"):
        return min(shape[0], shape[1] * int_attribute(node, "group", 1))
    return min(shape[-2:])


def _exempt(node: ir.Node, shape: tuple[int, ...]) -> bool:
    if not is_op(node, "Conv", "ConvTranspose"):
        return False
    dequantize = quantized_by(node.inputs[0])
    if dequantize is not None and _reads_input(dequantize):
        return True
    channels = (shape[0], shape[1] * int_attribute(node, "group", 1))
    return min(shape[2:], default=1) >= _WIDE_KERNEL and not any(side % _MULTIPLE for side in channels)


def _reads_input(dequantize: ir.Node) -> bool:
    quantize = dequantize.inputs[0].producer() if dequantize.inputs[0] is not None else None
    value = quantize.inputs[0] if quantize is not None else None
    return value is not None and value.is_graph_input()


def pool_not_between(model: ir.Model) -> Found:
    """An average is an integer op only between a DQ and a Q."""
    for node in model.graph:
        if not is_op(node, "AveragePool", "GlobalAveragePool"):
            continue
        before = quantized_by(node.inputs[0]) is not None
        after = _quantized_after(node.outputs[0])
        if before and not after:
            yield node, "its input is quantized, its result is not: quantize both or neither"


def _quantized_after(value: ir.Value) -> bool:
    """Whether every reader quantizes the value, across ops that move it."""
    readers = consumers(value)
    return bool(readers) and all(
        is_op(reader, "QuantizeLinear")
        or (is_op(reader, "Reshape", "Flatten", "Squeeze", "Cast", "Transpose") and _quantized_after(reader.outputs[0]))
        for reader in readers
    )


def graph_output(model: ir.Model) -> Found:
    """A network's output is float: a last Q and DQ only round it."""
    for node in quantizers(model):
        if is_op(node, "DequantizeLinear") and any(node.outputs[0] is value for value in model.graph.outputs):
            yield node, f"the graph output {label(node.outputs[0])} is quantized: leave it float"


def integer_operator(model: ir.Model) -> Found:
    """TensorRT reads Q and DQ around float operators; operators on integers it does not know."""
    for node in model.graph:
        if node.op_type in _INTEGER_OPS:
            yield node, "TensorRT has no integer operators: write Q and DQ around the float operator"


PLACEMENT_RULES: dict[str, Callable[[ir.Model], Found]] = {
    "half-quantized": half_quantized,
    "before-activation": before_activation,
    "residual-branch": residual_branch,
    "weighted-output": weighted_output,
    "repeated-pair": repeated,
    "concat-scales": concat_scales,
    "left-float": left_float,
    "attention": attention,
    "few-channels": few_channels,
    "pool-not-between": pool_not_between,
    "graph-output": graph_output,
    "integer-operator": integer_operator,
}
