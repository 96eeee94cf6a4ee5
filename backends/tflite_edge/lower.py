"""QDQ model -> TFLite model: every step through its handler, inputs and outputs as the settings want them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema

import zsq_export.backends.tflite_edge.ops  # noqa: F401  (registers the handlers)
from zsq_export.backends.options import IoLayout, IoType, Profile
from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Graph, Op, Port, Tensor
from zsq_export.backends.tflite_edge.kernels import slow_ops
from zsq_export.backends.tflite_edge.qdq import operand, qparams_of
from zsq_export.backends.tflite_edge.registry import HANDLERS, NoIntegerKernelError
from zsq_export.backends.tflite_edge.runtime import runtime_version
from zsq_export.backends.tflite_edge.settings import TfliteSettings
from zsq_export.backends.tflite_edge.shapes import sizes_of
from zsq_export.backends.tflite_edge.steps import Step, make_steps
from zsq_export.backends.tflite_edge.views import NHWC, identity, ordered
from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.topology import is_op
from zsq_export.planning.schemes import Scheme

_BORDER_OPS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_LISTED = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Lowered:
    """The result.

    Attributes:
        graph: ready to be written.
        islands: (node, op type, reason) of steps that were planned in integers and run in float.
    """

    graph: Graph
    islands: tuple[tuple[str, str, str], ...]

    @property
    def transposes(self) -> int:
        """How many TRANSPOSE ops are left."""
        return sum(op.kind == "TRANSPOSE" for op in self.graph.ops)


def lower_graph(model: ir.Model, settings: TfliteSettings) -> Lowered:
    """Emits a model; QuantizeLinear and DequantizeLinear decide what runs in integers.

    Args:
        model: QDQ or float; left unchanged.
        settings: see there.

    Raises:
        UnsupportedOpError: an op or attribute value that is not handled, or what the profile or the io type forbids.
        ModelError: an input with an open axis beside the batch.
    """
    emission = Emission(sizes=sizes_of(model))
    steps = make_steps(model, HANDLERS)
    for value in model.graph.inputs:
        if not value.is_initializer():
            _bring_in(emission, value, settings)
    slow = slow_ops(runtime_version()) if _prefers_float(settings) else frozenset()
    for step in steps:
        _emit(emission, step, slow)
    for value in model.graph.outputs:
        _bring_out(emission, value, settings)
    graph = emission.graph
    graph.ops = _needed(graph)
    _settle_names(graph)
    if settings.profile is Profile.INT8_ONLY:
        _require_integers(graph)
    islands = tuple((str(node.name), node.op_type, reason) for node, reason in emission.islands)
    return Lowered(graph=graph, islands=islands)


def _emit(emission: Emission, step: Step, slow: frozenset[str]) -> None:
    emission.current = step.name
    if step.integer and _is_slow(step, slow):
        emission.islands.append((step.node, "its int8 kernel is slow"))
        step = step.in_float()
    try:
        step.handler.emit(step, emission)
    except NoIntegerKernelError as error:
        emission.islands.append((step.node, str(error)))
        step.handler.emit(step.in_float(), emission)


def _prefers_float(settings: TfliteSettings) -> bool:
    """With 16-bit activations nothing is delegated, so that islands would win nothing."""
    return settings.profile is Profile.CPU and settings.scheme is Scheme.INT8


def _is_slow(step: Step, slow: frozenset[str]) -> bool:
    """Products of two activations are told by their weight, everything else by its name."""
    if step.node.op_type == "MatMul":
        return bool(slow) and not step.operand(1).is_constant
    return step.node.op_type in slow


def _order(rank: int, settings: TfliteSettings) -> tuple[int, ...]:
    return NHWC if rank == len(NHWC) and settings.layout is IoLayout.NHWC else identity(rank)


def _bring_in(emission: Emission, value: ir.Value, settings: TfliteSettings) -> None:
    if value.dtype != ir.DataType.FLOAT:
        raise UnsupportedOpError(f"input {value.name!r} holds {value.dtype}, target tflite handles float inputs")
    sizes = emission.sizes_of(value)
    order = _order(len(sizes), settings)
    readers = [node for node, _ in value.uses()]
    if settings.io is IoType.FLOAT:
        view = emission.new(str(value.name), sizes, order, None)
        emission.provide(value, view)
    else:
        quants = {qparams_of(node) if is_op(node, "QuantizeLinear") else None for node in readers}
        quant = quants.pop() if len(quants) == 1 else None
        if quant is None:
            raise UnsupportedOpError(
                f"input {value.name!r} is not read as integers of one scale everywhere", hint="use float inputs"
            )
        view = emission.new(str(value.name), sizes, order, quant)
        for node in readers:
            emission.provide_integers(node.outputs[0], view)
    emission.graph.inputs.append(Port(name=str(value.name), tensor=view.tensor, order=order))


def _bring_out(emission: Emission, value: ir.Value, settings: TfliteSettings) -> None:
    source = operand(value)
    integer = settings.io is IoType.INT8
    if integer and source.quant is None and value.dtype == ir.DataType.FLOAT:
        raise UnsupportedOpError(f"output {value.name!r} is computed in float", hint="use float outputs")
    quantized = source.quant is not None and not source.is_constant
    view = emission.view(source, integer=quantized)
    order = _order(len(view.axes), settings)
    view = emission.arrange(view, ordered(view.axes, order), str(value.name))
    if quantized and not integer:
        view = emission.dequantized(view)
    taken = [port.tensor for port in (*emission.graph.inputs, *emission.graph.outputs)]
    tensor = view.tensor
    if tensor.data is not None or tensor in taken:
        tensor = _copy(emission, tensor, str(value.name))
    emission.graph.outputs.append(Port(name=str(value.name), tensor=tensor, order=order))


def _copy(emission: Emission, tensor: Tensor, source: str) -> Tensor:
    found = emission.like(tensor, source)
    shape = emission.integers([-1 if size.is_open else size.one for size in tensor.sizes], "shape")
    emission.add(source, "RESHAPE", [tensor, shape], [found], schema.ReshapeOptionsT(newShape=shape.data))
    return found


def _needed(graph: Graph) -> list[Op]:
    """Ops that an output depends on."""
    wanted = {port.tensor for port in graph.outputs}
    kept = []
    for op in reversed(graph.ops):
        if any(tensor in wanted for tensor in op.outputs):
            kept.append(op)
            wanted.update(tensor for tensor in op.inputs if tensor is not None)
    return kept[::-1]


def _settle_names(graph: Graph) -> None:
    """Inputs and outputs are called as in the ONNX model; whoever else has the name gives way."""
    ports = {port.tensor: port.name for port in (*graph.inputs, *graph.outputs)}
    taken = set(ports.values())
    for tensor in graph.tensors():
        if tensor in ports:
            tensor.name = ports[tensor]
            continue
        name, count = tensor.name, 0
        while name in taken:
            count += 1
            name = f"{tensor.name}_{count}"
        tensor.name = name
        taken.add(name)


def _require_integers(graph: Graph) -> None:
    """Only the conversions at the very ends may touch floats."""
    ends = {port.tensor for port in (*graph.inputs, *graph.outputs)}
    left = [
        op
        for op in graph.ops
        if any(tensor is not None and tensor.element is Element.FLOAT32 for tensor in (*op.inputs, *op.outputs))
        and not (op.kind in _BORDER_OPS and (op.inputs[0] in ends or op.outputs[0] in ends))
    ]
    if left:
        names = list(dict.fromkeys(f"{op.source or op.outputs[0].name} ({op.kind})" for op in left))
        listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
        raise UnsupportedOpError(
            f"profile int8-only: {len(names)} ops do not run in integers: {listed}", hint="use --profile cpu"
        )
