"""Which function emits which ONNX op. Each module of ``ops`` registers its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from zsq_export.graph.topology import constant_value

if TYPE_CHECKING:
    from zsq_export.backends.tflite_edge.emission import Emission
    from zsq_export.backends.tflite_edge.steps import Step

Emit = Callable[["Step", "Emission"], None]


class NoIntegerKernelError(Exception):
    """This step cannot be emitted in integers; raised before anything is added to the graph."""


@dataclass(frozen=True, kw_only=True)
class Handler:
    """How one ONNX op is emitted.

    Attributes:
        op_type: of ONNX.
        emit: adds the TFLite ops.
        attributes: all names that ``emit`` takes into account; an op with another one is refused.
        data: input slots that hold tensors; None: all of them.
        integer: TFLite has integer kernels for it.
        clips: a Relu or Clip behind it is computed inside.
        weighted: slot 1 is a weight and slot 2 a bias, where they are constant.
    """

    op_type: str
    emit: Emit
    attributes: frozenset[str]
    data: tuple[int, ...] | None
    integer: bool
    clips: bool
    weighted: bool

    def data_slots(self, node: ir.Node) -> tuple[int, ...]:
        """Slots of the node that hold tensors and are connected."""
        slots = range(len(node.inputs)) if self.data is None else self.data
        return tuple(slot for slot in slots if slot < len(node.inputs) and node.inputs[slot] is not None)

    def activation_slots(self, node: ir.Node) -> tuple[int, ...]:
        """Slots whose scale and zero point decide whether the step runs in integers."""
        slots = self.data_slots(node)
        if not self.weighted:
            return slots
        return (0,) if len(slots) < 2 or _is_constant(node.inputs[1]) else slots[:2]


HANDLERS: dict[str, Handler] = {}


def handles(
    *op_types: str,
    attributes: tuple[str, ...] = (),
    data: tuple[int, ...] | None = (0,),
    integer: bool = True,
    clips: bool = False,
    weighted: bool = False,
) -> Callable[[Emit], Emit]:
    """Registers a function; see :class:`Handler`."""

    def register(emit: Emit) -> Emit:
        for op_type in op_types:
            HANDLERS[op_type] = Handler(
                op_type=op_type,
                emit=emit,
                attributes=frozenset(attributes),
                data=data,
                integer=integer,
                clips=clips,
                weighted=weighted,
            )
        return emit

    return register


def _is_constant(value: ir.Value | None) -> bool:
    """Also behind DequantizeLinear."""
    producer = None if value is None else value.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        value = producer.inputs[0]
    return constant_value(value) is not None


def refuse_integers(condition: bool, reason: str) -> None:
    """Sends the step to float if the condition holds; before anything is added to the graph."""
    if condition:
        raise NoIntegerKernelError(reason)
