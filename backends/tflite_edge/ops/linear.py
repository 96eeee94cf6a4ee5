"""Gemm and MatMul: FULLY_CONNECTED with a constant matrix, BATCH_MATMUL else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Tensor
from zsq_export.backends.tflite_edge.limits import limits_left
from zsq_export.backends.tflite_edge.ops.weights import WeightLayout, bias_tensor, check_weights, weight_tensor
from zsq_export.backends.tflite_edge.qdq import Operand
from zsq_export.backends.tflite_edge.registry import handles, refuse_integers
from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.backends.tflite_edge.views import View, flat, identity, ordered, transposed
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import float_attribute, int_attribute

_MATRIX = 2


@handles("Gemm", attributes=("alpha", "beta", "transA", "transB"), data=(0, 1, 2), clips=True, weighted=True)
def gemm(step: Step, emission: Emission) -> None:
    """FULLY_CONNECTED, the matrix stored as [outputs, inputs]; ``alpha`` and ``beta`` are multiplied in, in float."""
    weight = step.operand(1)
    if weight.floats is None or (step.bias is not None and step.bias.floats is None):
        raise UnsupportedOpError(f"node {step.name!r} (Gemm): its weight or bias is computed at run time")
    if step.bias is not None and step.bias.floats is not None and any(s != 1 for s in step.bias.floats.shape[:-1]):
        raise UnsupportedOpError(f"node {step.name!r} (Gemm): its bias differs from row to row")
    alpha, beta = float_attribute(step.node, "alpha", 1.0), float_attribute(step.node, "beta", 1.0)
    refuse_integers(step.integer and (alpha, beta) != (1.0, 1.0), "it has alpha or beta")
    if (alpha, beta) != (1.0, 1.0):
        step = _scaled(step, alpha, beta)
    source = emission.read(step)
    if int_attribute(step.node, "transA", 0):
        source = transposed(source, (1, 0))
    source = emission.arrange(source, source.axes, step.name)
    rows = bool(int_attribute(step.node, "transB", 0))
    _fully_connected(step, emission, source, identity(_MATRIX), (0, 1) if rows else (1, 0))


def _scaled(step: Step, alpha: float, beta: float) -> Step:
    weight, bias = step.operand(1), step.bias
    assert weight.floats is not None
    operands = (step.operands[0], Operand(value=None, floats=weight.floats * np.float32(alpha)), *step.operands[2:])
    if bias is not None and bias.floats is not None:
        bias = Operand(value=None, floats=bias.floats * np.float32(beta))
    return replace(step, operands=operands, bias=bias)


@handles("MatMul", data=(0, 1), clips=True, weighted=True)
def matmul(step: Step, emission: Emission) -> None:
    """A constant matrix on the right is a fully connected layer of every row, whatever the other axes."""
    weight = step.operand(1).floats
    if weight is not None and weight.ndim == _MATRIX:
        source, order = emission.whole_order(emission.read(step), step.name)
        if order[-1] != len(order) - 1:
            order = identity(len(order))
            source = emission.arrange(source, source.axes, step.name)
        _fully_connected(step, emission, source, order, (1, 0))
    else:
        _batch_matmul(step, emission)


def _fully_connected(
    step: Step, emission: Emission, source: View, order: tuple[int, ...], rows: tuple[int, int]
) -> None:
    check_weights(step)
    weight = step.operand(1).floats
    assert weight is not None
    code, left = limits_left(step)
    channels = weight.shape[rows[0]]
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=code, keepNumDims=len(order) > _MATRIX)
    layout = WeightLayout(order=rows, channel_axis=0)
    inputs: list[Tensor | None] = [
        source.tensor,
        weight_tensor(step, emission, layout),
        bias_tensor(step, emission, channels),
    ]
    if step.bias is not None and step.bias.floats is not None and step.bias.floats.size != channels:
        raise UnsupportedOpError(
            f"node {step.name!r}: its bias has {step.bias.floats.size} values for {channels} outputs"
        )
    view = emission.result(step, order)
    emission.add(step.name, "FULLY_CONNECTED", inputs, [view.tensor], options)
    emission.give(step, view, clip=left)


def _batch_matmul(step: Step, emission: Emission) -> None:
    """Each operand may be stored with its last two axes swapped: the op reads it that way."""
    if step.integer:
        quants = [step.operand(slot).quant for slot in (0, 1)]
        refuse_integers(any(q is None or q.axis is not None for q in quants), "an operand has a scale per channel")
    views = [emission.read(step, slot) for slot in (0, 1)]
    rank = max(len(view.axes) for view in views)
    if min(len(view.axes) for view in views) < _MATRIX:
        raise UnsupportedOpError(f"node {step.name!r} (MatMul): target tflite does not handle vectors")
    views = [replace(view, axes=((),) * (rank - len(view.axes)) + view.axes) for view in views]
    (left, swapped_left), (right, swapped_right) = (_as_matrices(emission, view, step.name) for view in views)
    options = schema.BatchMatMulOptionsT(adjX=swapped_left, adjY=swapped_right)
    view = emission.result(step, identity(rank))
    emission.add(step.name, "BATCH_MATMUL", [left.tensor, right.tensor], [view.tensor], options)
    emission.give(step, view, clip=step.clip)


def _as_matrices(emission: Emission, view: View, source: str) -> tuple[View, bool]:
    """The view with its matrices in the last two dimensions, and whether they are stored transposed."""
    rank = len(view.axes)
    wanted = ordered(view.axes, (*range(rank - 2), rank - 1, rank - 2))
    computed = view.tensor.data is None and bool(view.axes[-1]) and bool(view.axes[-2])
    if computed and flat(view.dims) == flat(wanted):
        return emission.arrange(view, wanted, source), True
    return emission.arrange(view, view.axes, source), False
