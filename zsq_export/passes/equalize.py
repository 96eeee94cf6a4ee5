"""Cross-layer equalization: channels of neighbouring convolutions get like ranges, the function stays the same."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.topology import (
    constant_scalar,
    constant_value,
    float_weight,
    int_attribute,
    is_op,
    only_consumer,
)
from zsq_export.passes.editing import Editor

_WEIGHT, _BIAS = 1, 2
_PASS_THROUGH = ("Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
_ROUNDS = 40
_CONVERGED = 1e-3
_LARGEST_STEP = 1e3
Array = NDArray[np.float64]


class ClipRule(StrEnum):
    """What to do with two convolutions that have a Clip (Relu6) in between, which scales of channels do not pass."""

    KEEP = "leave such pairs as they are"
    PER_CHANNEL = "replace the Clip by Relu and a Min with a limit per channel, which is exact"


@dataclass(kw_only=True, eq=False)
class _Layer:
    """Weight and bias of one convolution while they are being changed; float64."""

    node: ir.Node
    weight: Array
    bias: Array | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """Two convolutions, and the Clip between them if there is one."""

    first: _Layer
    second: _Layer
    clip: ir.Node | None
    factor: Array


class Equalize(ir.passes.InPlacePass):
    """Scales output channel c of one Conv by 1/s and input channel c of the next by s, s = sqrt(r1 r2) / r2.

    r1, r2: largest magnitude of the channel's weights in the first and the second convolution. Source: Nagel et al.,
    "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, equations 8 to 11; repeated over
    all pairs until nothing changes.

    1. Between the two: nothing, or a chain of Relu, LeakyRelu, PRelu, and pooling, each with one reader. All of them
       pass positive factors of a channel through.
    2. Either convolution may be grouped or depthwise. Its weight must be constant and used once.
    3. A channel with only zeros on one side keeps its scale.
    4. A Clip from 0 in between: see :class:`ClipRule`.
    Names stay; the values of tensors between the two change.
    """

    def __init__(self, clip_rule: ClipRule = ClipRule.KEEP) -> None:
        super().__init__()
        self.clip_rule = clip_rule
        self.factors: dict[str, Array] = {}
        """After a run: output of a first convolution -> what each of its channels was divided by."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules."""
        editor = Editor(model)
        pairs = self._pairs(model)
        for _ in range(_ROUNDS):
            if max((_balance(pair) for pair in pairs), default=0.0) < _CONVERGED:
                break
        for layer in {id(layer): layer for pair in pairs for layer in (pair.first, pair.second)}.values():
            _store(editor, layer)
        self.factors = {str(pair.first.node.outputs[0].name): pair.factor for pair in pairs}
        for pair in pairs:
            if pair.clip is not None:
                _limit_per_channel(editor, pair.clip, pair.factor)
        return editor.result()

    def _pairs(self, model: ir.Model) -> list[_Pair]:
        layers: dict[ir.Node, _Layer] = {}
        pairs: list[_Pair] = []
        for node in model.graph:
            second, clip = _next_conv(node) if _is_scalable(node) else (None, None)
            if second is None or (clip is not None and self.clip_rule is ClipRule.KEEP):
                continue
            first_layer = layers.setdefault(node, _layer(node))
            second_layer = layers.setdefault(second, _layer(second))
            factor = np.ones(first_layer.weight.shape[0])
            pairs.append(_Pair(first=first_layer, second=second_layer, clip=clip, factor=factor))
        return pairs


def _is_scalable(node: ir.Node) -> bool:
    weight = node.inputs[_WEIGHT] if is_op(node, "Conv") else None
    if weight is None or float_weight(node) is None or len(weight.uses()) != 1:
        return False
    bias = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
    return bias is None or (constant_value(bias) is not None and len(bias.uses()) == 1)


def _next_conv(node: ir.Node) -> tuple[ir.Node | None, ir.Node | None]:
    """The Conv that alone reads the result through ops that pass factors, and a Clip met on the way."""
    clip: ir.Node | None = None
    reader = only_consumer(node.outputs[0])
    while reader is not None and not is_op(reader, "Conv"):
        if is_op(reader, "Clip") and clip is None and constant_scalar(reader.inputs[1]) == 0 and len(reader.inputs) > 2:
            clip = reader
        elif not is_op(reader, *_PASS_THROUGH) or (clip is not None and not is_op(reader, "Relu")):
            return None, None
        reader = only_consumer(reader.outputs[0])
    usable = reader is not None and _is_scalable(reader) and reader.inputs[0] is not None
    return (reader, clip) if usable else (None, None)


def _layer(node: ir.Node) -> _Layer:
    weight, bias = float_weight(node), constant_value(node.inputs[_BIAS]) if len(node.inputs) > _BIAS else None
    assert weight is not None
    return _Layer(node=node, weight=weight.astype(np.float64), bias=None if bias is None else bias.astype(np.float64))


def _balance(pair: _Pair) -> float:
    """One step for one pair, in place.

    Returns:
        The largest change as |log s|.
    """
    first, second = pair.first, pair.second
    channels = first.weight.shape[0]
    grouped = _by_input_channel(second)
    own = np.abs(first.weight).reshape(channels, -1).max(axis=1)
    other = np.abs(grouped).reshape(channels, -1).max(axis=1)
    usable = (own > 0) & (other > 0)
    step = np.ones(channels)
    step[usable] = np.sqrt(own[usable] / other[usable])
    step = np.clip(step, 1 / _LARGEST_STEP, _LARGEST_STEP)
    first.weight /= step.reshape(-1, *[1] * (first.weight.ndim - 1))
    if first.bias is not None:
        first.bias /= step
    _multiply_inputs(second, step)
    pair.factor[:] *= step
    return float(np.abs(np.log(step)).max())


def _by_input_channel(layer: _Layer) -> Array:
    """The weight as [input channels, everything that reads the channel]."""
    groups = int_attribute(layer.node, "group", 1)
    outputs, per_group = layer.weight.shape[:2]
    split = layer.weight.reshape(groups, outputs // groups, per_group, -1)
    return split.transpose(0, 2, 1, 3).reshape(groups * per_group, -1)


def _multiply_inputs(layer: _Layer, step: Array) -> None:
    groups = int_attribute(layer.node, "group", 1)
    outputs, per_group = layer.weight.shape[:2]
    split = layer.weight.reshape(groups, outputs // groups, per_group, -1)
    layer.weight = (split * step.reshape(groups, 1, per_group, 1)).reshape(layer.weight.shape)


def _store(editor: Editor, layer: _Layer) -> None:
    for index, array in ((_WEIGHT, layer.weight), (_BIAS, layer.bias)):
        value = layer.node.inputs[index] if array is not None else None
        if value is not None and array is not None:
            value.const_value = ir.Tensor(array.astype(np.float32), name=value.name)
            editor.modified = True


def _limit_per_channel(editor: Editor, clip: ir.Node, factor: Array) -> None:
    """``Clip(x, 0, h)`` becomes ``Min(Relu(x), h / s)`` with one limit per channel."""
    high, output = constant_scalar(clip.inputs[2]), clip.outputs[0]
    assert high is not None and output.shape is not None
    limits = (high / factor).astype(np.float32).reshape(-1, *[1] * (len(output.shape) - 2))
    relu = editor.node(
        "Relu", [clip.inputs[0]], like=output, value_name=f"{output.name}_unlimited", node_name=f"{clip.name}_relu"
    )
    editor.graph.insert_before(clip, relu)
    minimum = editor.node(
        "Min",
        [relu.outputs[0], editor.constant(limits, f"{clip.name}.limits")],
        like=output,
        value_name=f"{output.name}_limited",
        node_name=f"{clip.name}_min",
    )
    editor.graph.insert_before(clip, minimum)
    editor.take_over(clip, minimum.outputs[0])
