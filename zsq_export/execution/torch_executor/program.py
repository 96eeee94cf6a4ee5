"""An ONNX graph made ready to run: nodes bound to kernels, values numbered, constants placed once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir
import torch
from torch import Tensor

from zsq_export.errors import ModelError, UnsupportedOpError, ZsqError
from zsq_export.execution.torch_executor.dtypes import TORCH_DTYPES, to_torch
from zsq_export.execution.torch_executor.products import ExactProduct, exact_product
from zsq_export.execution.torch_executor.registry import Kernel, NodeView, bind

OPSETS = range(13, 29)
"""Opsets of the standard domain whose operator definitions the implementations were checked against."""

MAX_FOLDED_ELEMENTS = 2**22
KERNEL_ERRORS = (RuntimeError, IndexError, TypeError, ValueError, AttributeError)
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_WEIGHTED = _CONVOLUTIONS | {"MatMul", "Gemm"}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where and how constants are kept.

    Attributes:
        device: of float tensors. Integer constants stay on the CPU, where shapes are computed.
        channels_last: layout of 4-D convolution weights.
        autocast_dtype: type of the weights of convolutions and matrix products; None: as stored.
    """

    device: torch.device
    channels_last: bool
    autocast_dtype: torch.dtype | None


def likes_channels_last(device: torch.device) -> bool:
    """Whether float32 convolutions are faster there with channels last."""
    return device.type == "cpu"


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One bound node.

    Attributes:
        node: for messages.
        kernel: what computes it.
        inputs, outputs: slots (positions in the list of values); −1: an absent input or unwanted output.
        last_uses: slots that nothing reads after this step.
    """

    node: NodeView
    kernel: Kernel
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    last_uses: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """The bound graph.

    Attributes:
        slots: tensor name -> slot, for every tensor of the graph.
        inputs, outputs: of the graph, name -> slot.
        constants: slot -> value.
        steps: in the order of execution.
        size: number of slots.
    """

    slots: dict[str, int]
    inputs: dict[str, int]
    outputs: dict[str, int]
    constants: dict[int, Tensor]
    steps: tuple[Step, ...]
    size: int


def compile_program(model: ir.Model, placement: Placement) -> Program:
    """Binds every node of the main graph.

    Raises:
        UnsupportedOpError: an operator, attribute value or element type that is not implemented, naming the node.
        ModelError: a node of constants cannot be computed.
    """
    return _Compiler(model, placement).program()


def failure(node: NodeView, arguments: Sequence[Tensor | None], error: Exception) -> ZsqError:
    """The one-line error for a kernel that refused its inputs."""
    reason = str(error).split("\n", 1)[0]
    if isinstance(error, NotImplementedError) or "not implemented for" in reason or "not supported" in reason:
        return node.unsupported(reason)
    shapes = ", ".join("-" if a is None else f"{str(a.dtype).removeprefix('torch.')}{list(a.shape)}" for a in arguments)
    return ModelError(f"{node.op_type} node '{node.name}' failed on inputs {shapes}: {reason}")


class _Compiler:
    """Builds a Program; lives for one call."""

    def __init__(self, model: ir.Model, placement: Placement) -> None:
        self._graph = model.graph
        self._opset = _checked_opset(model)
        self._placement = placement
        self._slots: dict[str, int] = {}
        self._placed: dict[tuple[int, bool, bool], int] = {}
        self._constants: dict[int, Tensor] = {}
        self._count = 0

    def program(self) -> Program:
        graph = self._graph
        for value in graph.initializers.values():
            self._constants[self._slot(value)] = _initializer(value)
        inputs = {v.name or "": self._slot(v) for v in graph.inputs if (v.name or "") not in graph.initializers}
        steps = [step for node in graph if (step := self._bind(node)) is not None]
        outputs = {value.name or "": self._slot(value) for value in graph.outputs}
        final = _with_last_uses(steps, {*outputs.values(), *self._constants})
        return Program(
            slots=self._slots,
            inputs=inputs,
            outputs=outputs,
            constants=self._constants,
            steps=final,
            size=self._count,
        )

    def _slot(self, value: ir.Value | None) -> int:
        if value is None or not value.name:
            return -1
        if value.name not in self._slots:
            self._slots[value.name] = self._new_slot()
        return self._slots[value.name]

    def _new_slot(self) -> int:
        self._count += 1
        return self._count - 1

    def _bind(self, node: ir.Node) -> Step | None:
        """Binds a node; None if it was computed now because all its inputs are constant."""
        slots = tuple(self._slot(value) for value in node.inputs)
        constants = [self._constants.get(slot) for slot in slots]
        view = NodeView(node, self._opset, constants)
        _check_node(node, view)
        kernel = bind(view)
        outputs = tuple(self._slot(value) for value in node.outputs)
        if all(slot < 0 or slot in self._constants for slot in slots) and self._fold(view, kernel, constants, outputs):
            return None
        product = exact_product(node, kernel, self._constant) if self._placement.autocast_dtype is None else None
        if product is not None:
            kernel, slots = product.kernel, self._operands(product)
        if self._placement.device.type != "cpu":
            kernel = _aligned(kernel, self._placement.device, frozenset(view.host_inputs))
        placed = tuple(self._place(node.op_type, slot) for slot in slots)
        return Step(node=view, kernel=kernel, inputs=placed, outputs=outputs)

    def _constant(self, value: ir.Value | None) -> Tensor | None:
        return self._constants.get(self._slot(value))

    def _operands(self, product: ExactProduct) -> tuple[int, ...]:
        """Slots of its operands; a constant of its own gets a new one."""
        slots = []
        for operand in product.operands:
            if isinstance(operand, Tensor):
                slots.append(self._new_slot())
                self._constants[slots[-1]] = operand
            else:
                slots.append(self._slot(operand))
        return tuple(slots)

    def _fold(self, view: NodeView, kernel: Kernel, constants: list[Tensor | None], outputs: tuple[int, ...]) -> bool:
        """Computes a node of constants once; False if its result is too large to keep."""
        try:
            with torch.no_grad():
                result = kernel(*constants)
        except KERNEL_ERRORS as error:
            raise failure(view, constants, error) from error
        tensors = result if isinstance(result, (tuple, list)) else (result,)
        if sum(tensor.numel() for tensor in tensors) > MAX_FOLDED_ELEMENTS:
            return False
        self._constants |= {slot: tensor for slot, tensor in zip(outputs, tensors, strict=False) if slot >= 0}
        return True

    def _place(self, op_type: str, slot: int) -> int:
        """The slot of a constant in the device, layout and precision that the operator wants; others unchanged."""
        constant, placement = self._constants.get(slot), self._placement
        if constant is None or not constant.dtype.is_floating_point:
            return slot
        last = placement.channels_last and op_type in _CONVOLUTIONS and constant.dim() == 4
        cast = placement.autocast_dtype is not None and op_type in _WEIGHTED and constant.dtype is torch.float32
        if not last and not cast and placement.device.type == "cpu":
            return slot
        key = (slot, last, cast)
        if key not in self._placed:
            self._placed[key] = self._new_slot()
            placed = constant.to(placement.device, placement.autocast_dtype if cast else constant.dtype)
            placed = placed.contiguous(memory_format=torch.channels_last) if last else placed
            self._constants[self._placed[key]] = placed
        return self._placed[key]


def _checked_opset(model: ir.Model) -> int:
    opset = model.graph.opset_imports.get("", 0)
    if opset not in OPSETS:
        raise UnsupportedOpError(
            f"opset {opset} is outside {OPSETS.start}..{OPSETS.stop - 1}", hint="convert the model to opset 21"
        )
    return opset


def _check_node(node: ir.Node, view: NodeView) -> None:
    """Refuses other domains and element types that the executor does not compute with."""
    if node.domain not in ("", "ai.onnx"):
        raise view.unsupported(f"operators of domain '{node.domain}' are not implemented")
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.dtype is not None and value.dtype not in TORCH_DTYPES:
            raise view.unsupported(f"element type {value.dtype.name} of '{value.name}' is not implemented")


def _initializer(value: ir.Value) -> Tensor:
    constant = value.const_value
    if constant is None:
        raise ModelError(f"initializer '{value.name}' has no value")
    if constant.dtype not in TORCH_DTYPES:
        raise UnsupportedOpError(f"initializer '{value.name}': element type {constant.dtype.name} is not implemented")
    return to_torch(constant)


def _aligned(kernel: Kernel, device: torch.device, host_inputs: frozenset[int]) -> Kernel:
    """Brings CPU operands that were computed from shapes to the device when they meet tensors there."""

    def run(*arguments: Tensor | None) -> Tensor | tuple[Tensor, ...]:
        on_device = any(a is not None and a.device.type == device.type for a in arguments)
        if on_device:
            arguments = tuple(
                a if a is None or index in host_inputs else a.to(device) for index, a in enumerate(arguments)
            )
        result: Tensor | tuple[Tensor, ...] = kernel(*arguments)
        return result

    return run


def _with_last_uses(steps: Iterable[Step], kept: set[int]) -> tuple[Step, ...]:
    """Notes after which step each slot is dead."""
    seen, final = set(kept) | {-1}, []
    for step in reversed(list(steps)):
        dead = {*step.inputs, *step.outputs} - seen
        seen |= dead
        final.append(replace(step, last_uses=tuple(sorted(dead))))
    return tuple(reversed(final))
