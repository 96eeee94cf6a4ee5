"""The QDQ graph as a list of steps: one op with what is computed inside of it, its operands, and its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from zsq_export.backends.tflite_edge.qdq import Operand, operand, qparams_of
from zsq_export.backends.tflite_edge.registry import Handler
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.limits import UNLIMITED, Interval, clip_interval, composed
from zsq_export.graph.topology import is_default_domain, is_op, only_consumer
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams

_ACTIVATION_TYPES = frozenset({QuantDtype.INT8, QuantDtype.INT16})


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One output of a step.

    Attributes:
        value: the float tensor, after the activation that is computed inside.
        quantized: the integers that alone read it, if the step can give integers.
        quant: their scale and zero point.
    """

    value: ir.Value
    quantized: ir.Value | None = None
    quant: QParams | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One op to emit.

    Attributes:
        node: the ONNX node.
        handler: that emits it.
        operands: one per input slot; None where the slot is empty or holds no data (shapes, axes).
        bias: of a weighted op: slot 2, or the constant that an Add behind a MatMul adds.
        results: one per output; None where nothing reads it.
        clip: interval that the result is limited to before anything reads it.
        integer: emit it in integers.
        swallowed: nodes that are computed inside, the op itself left out.
    """

    node: ir.Node
    handler: Handler
    operands: tuple[Operand | None, ...]
    results: tuple[Result | None, ...]
    bias: Operand | None = None
    clip: Interval = UNLIMITED
    integer: bool = False
    swallowed: tuple[ir.Node, ...] = ()

    @property
    def name(self) -> str:
        """Of the node."""
        return self.node.name or ""

    def in_float(self) -> Step:
        """The same step on floats."""
        return replace(self, integer=False)

    def operand(self, slot: int) -> Operand:
        """A slot that has to be there."""
        found = self.operands[slot] if slot < len(self.operands) else None
        if found is None:
            raise UnsupportedOpError(f"node {self.name!r} ({self.node.op_type}) has no input {slot}")
        return found

    def result(self, slot: int = 0) -> Result:
        """A result that has to be there."""
        found = self.results[slot]
        assert found is not None
        return found


def make_steps(model: ir.Model, handlers: Mapping[str, Handler]) -> list[Step]:
    """Steps in topological order, for everything that the outputs need. QuantizeLinear nodes are not among them.

    Raises:
        UnsupportedOpError: an op, or an attribute of one, that no handler knows.
    """
    needed = _needed(model, handlers)
    swallowed: set[ir.Node] = set()
    steps = []
    for node in model.graph:
        if node in needed and node not in swallowed and not is_op(node, "QuantizeLinear", "DequantizeLinear"):
            step = _step(node, handlers[node.op_type])
            swallowed.update(step.swallowed)
            steps.append(step)
    return steps


def _needed(model: ir.Model, handlers: Mapping[str, Handler]) -> set[ir.Node]:
    """Nodes that data flows through; what only computes shapes is not among them."""
    found: set[ir.Node] = set()
    pending = [value.producer() for value in model.graph.outputs]
    while pending:
        node = pending.pop()
        if node is None or node in found:
            continue
        found.add(node)
        if is_op(node, "QuantizeLinear", "DequantizeLinear"):
            slots: tuple[int, ...] = (0,)
        else:
            _check(node, handlers)
            slots = handlers[node.op_type].data_slots(node)
        pending += [value.producer() for slot in slots if (value := node.inputs[slot]) is not None]
    return found


def _check(node: ir.Node, handlers: Mapping[str, Handler]) -> None:
    if not is_default_domain(node) or node.op_type not in handlers:
        domain = f"{node.domain}." if node.domain else ""
        raise UnsupportedOpError(
            f"node {node.name!r}: target tflite has no lowering for {domain}{node.op_type}",
            hint="take --target openvino or onnxruntime, or replace the op in the model",
        )
    unknown = [name for name in node.attributes if name not in handlers[node.op_type].attributes]
    if unknown:
        raise UnsupportedOpError(
            f"node {node.name!r} ({node.op_type}): target tflite does not handle attribute {unknown[0]!r}",
            hint="export the model without it",
        )


def _step(node: ir.Node, handler: Handler) -> Step:
    slots = handler.data_slots(node)
    operands = tuple(
        operand(value) if value is not None and slot in slots else None for slot, value in enumerate(node.inputs)
    )
    bias = operands[2] if handler.weighted and len(operands) > 2 else None
    value, swallowed = node.outputs[0], []
    if handler.weighted and node.op_type == "MatMul" and bias is None:
        added = _added_bias(value, operands[1])
        if added is not None:
            bias, adding = added
            value = adding.outputs[0]
            swallowed.append(adding)
    clip = UNLIMITED
    while handler.clips and (limit := _limit_behind(value)) is not None:
        clip = composed(clip, limit[0])
        value = limit[1].outputs[0]
        swallowed.append(limit[1])
    values = (value, *node.outputs[1:])
    results = tuple(_result(item) if tuple(item.uses()) or item.is_graph_output() else None for item in values)
    step = Step(
        node=node, handler=handler, operands=operands, bias=bias, results=results, clip=clip, swallowed=tuple(swallowed)
    )
    return replace(step, integer=handler.integer and _is_integer(step))


def _added_bias(value: ir.Value, weight: Operand | None) -> tuple[Operand, ir.Node] | None:
    """The constant vector that an Add alone adds to a product with a constant matrix."""
    node = only_consumer(value)
    if weight is None or weight.floats is None or weight.floats.ndim != 2 or node is None or not is_op(node, "Add"):
        return None
    other = node.inputs[1] if node.inputs[0] is value else node.inputs[0]
    found = None if other is None else operand(other)
    if found is None or found.floats is None or found.floats.ndim > 1 or found.floats.size != weight.floats.shape[1]:
        return None
    integer_bias = found.quant is not None and found.quant.dtype is QuantDtype.INT32
    return (found, node) if integer_bias == (weight.quant is not None) else None


def _limit_behind(value: ir.Value) -> tuple[Interval, ir.Node] | None:
    """The Relu or Clip that alone reads the value."""
    node = only_consumer(value)
    if node is None or not is_op(node, "Relu", "Clip") or node.inputs[0] is not value:
        return None
    interval = clip_interval(node)
    return None if interval is None else (interval, node)


def _result(value: ir.Value) -> Result:
    """Integers come out where a QuantizeLinear is the only reader."""
    node = only_consumer(value)
    if node is None or not is_op(node, "QuantizeLinear"):
        return Result(value=value)
    return Result(value=value, quantized=node.outputs[0], quant=qparams_of(node))


def _is_integer(step: Step) -> bool:
    """Whether integers of one activation type go in and come out."""
    slots = step.handler.activation_slots(step.node)
    quants = [step.operands[slot].quant for slot in slots if step.operands[slot] is not None]  # type: ignore[union-attr]
    quants += [result.quant for result in step.results if result is not None]
    types = {quant.dtype if quant is not None and quant.axis is None else None for quant in quants}
    weighted = step.handler.weighted and step.operands[1] is not None and step.operands[1].is_constant
    if weighted and step.operands[1].quant is None:  # type: ignore[union-attr]
        return False
    return len(types) == 1 and types <= _ACTIVATION_TYPES
