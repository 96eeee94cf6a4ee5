"""Arithmetic by constants directly behind a convolution becomes part of it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.topology import constant_value, is_op, rank_of
from zsq_export.passes.affine import Affine, absorb, can_absorb, output_channels
from zsq_export.passes.editing import Editor

_ABSORBERS = ("Conv", "ConvTranspose", "Gemm", "BatchNormalization")
_OPERATORS = ("Add", "Sub", "Mul", "Div")


class FoldAffine(ir.passes.InPlacePass):
    """Folds ``Add, Sub, Mul, Div`` by per-channel constants into the Conv, ConvTranspose or Gemm before them.

    1. The constant is one number, or one number per channel along axis 1.
    2. The weighted op has a constant weight (and bias, if any) and no other reader; shared weights are copied.
    3. ``constant - x`` counts, ``constant / x`` does not.
    4. Behind a BatchNormalization with constant parameters: into its gamma and beta.
    5. MatMul keeps its Add: transformers are matched by runtimes in that form.
    The op's output takes the name of the folded node's output.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules in topological order, so that chains fold completely."""
        editor = Editor(model)
        for node in list(model.graph):
            if is_op(node, *_OPERATORS) and len(node.inputs) == 2:
                self._fold(editor, node)
        return editor.result()

    def _fold(self, editor: Editor, node: ir.Node) -> None:
        for index, source in enumerate(node.inputs):
            producer = None if source is None else source.producer()
            if producer is None or source is None or not is_op(producer, *_ABSORBERS):
                continue
            affine = _affine(node, index, constant_value(node.inputs[1 - index]), producer)
            if affine is not None and can_absorb(producer, affine):
                absorb(editor, producer, affine)
                editor.take_over(node, source)
                return


def _affine(node: ir.Node, index: int, constant: NDArray[np.float32] | None, producer: ir.Node) -> Affine | None:
    """What the node does per channel, or None where it does something else, too."""
    channels, rank = output_channels(producer), rank_of(producer.outputs[0])
    if constant is None or channels is None or rank is None or constant.dtype != np.float32:
        return None
    per_channel = _per_channel(constant.astype(np.float64), channels, rank)
    if per_channel is None:
        return None
    ones, zeros = np.ones(channels), np.zeros(channels)
    if node.op_type == "Add":
        return Affine(scale=ones, shift=per_channel)
    if node.op_type == "Mul":
        return Affine(scale=per_channel, shift=zeros)
    if node.op_type == "Sub":
        return Affine(scale=ones, shift=-per_channel) if index == 0 else Affine(scale=-ones, shift=per_channel)
    return Affine(scale=1 / per_channel, shift=zeros) if index == 0 and per_channel.all() else None


def _per_channel(constant: NDArray[np.float64], channels: int, rank: int) -> NDArray[np.float64] | None:
    """The constant as [channels] if it varies along axis 1 only and does not widen the tensor."""
    if constant.ndim > rank:
        return None
    sides = [1] * (rank - constant.ndim) + list(constant.shape)
    if any(side != 1 for axis, side in enumerate(sides) if axis != 1) or sides[1] not in (1, channels):
        return None
    return np.broadcast_to(constant.reshape(-1), (channels,))
