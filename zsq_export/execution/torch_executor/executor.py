"""Runs an ONNX graph in PyTorch, differentiably with respect to its inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor

from zsq_export.errors import ModelError
from zsq_export.execution.torch_executor import operators
from zsq_export.execution.torch_executor.program import (
    KERNEL_ERRORS,
    Placement,
    compile_program,
    failure,
    likes_channels_last,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What one run gives.

    Attributes:
        outputs: graph output name -> tensor.
        taps: tensor name -> tensor, for the taps asked for; float32 also under autocast.
    """

    outputs: dict[str, Tensor]
    taps: dict[str, Tensor]


class TorchExecutor:
    """The graph as a differentiable function of its inputs; all weights are frozen.

    Args:
        model: any valid model of the opsets in ``program.OPSETS``.
        device: where floats are computed. Integer tensors made from shapes stay on the CPU.
        channels_last: lay out 4-D convolution weights and inputs channels last; None: on a CPU (measured 1.45 times
            faster forward and backward), not on a GPU, whose float32 depthwise kernels want channels first.
        autocast_dtype: run convolutions and matrix products in this type (``torch.bfloat16``); None: as stored.

    Raises:
        UnsupportedOpError: an operator, attribute value or element type that is not implemented, naming the node.
        ModelError: a node of constants cannot be computed.
    """

    def __init__(
        self,
        model: ir.Model,
        *,
        device: str = "cpu",
        channels_last: bool | None = None,
        autocast_dtype: torch.dtype | None = None,
    ) -> None:
        placed = torch.device(device)
        self._placement = Placement(
            device=placed,
            channels_last=likes_channels_last(placed) if channels_last is None else channels_last,
            autocast_dtype=autocast_dtype,
        )
        self._program = compile_program(model, self._placement)

    @staticmethod
    def supported_ops() -> frozenset[str]:
        """Operator types of the standard domain that have an implementation."""
        return operators.supported()

    def __call__(self, inputs: Mapping[str, Tensor], *, taps: Collection[str] = ()) -> Trace:
        """Runs the graph.

        Args:
            inputs: graph input name -> tensor; the spatial size and batch may differ from the declared ones where
                the operators allow it.
            taps: names of any tensors of the graph to return as well.

        Returns:
            Outputs and taps, attached to the autograd graph if gradients are on and an input requires them.

        Raises:
            ModelError: an input or tap is unknown, or an operator refuses its inputs; names the node.
            UnsupportedOpError: an element type turned up that an operator does not compute.
        """
        values = self._initial_values(inputs)
        tap_slots = {name: self._tap_slot(name) for name in taps}
        with self._precision():
            self._run(values, frozenset(tap_slots.values()))
        return Trace(
            outputs={name: self._result(values, slot) for name, slot in self._program.outputs.items()},
            taps={name: self._result(values, slot) for name, slot in tap_slots.items()},
        )

    def _run(self, values: list[Tensor | None], kept: frozenset[int]) -> None:
        for step in self._program.steps:
            arguments = [values[slot] if slot >= 0 else None for slot in step.inputs]
            try:
                result = step.kernel(*arguments)
            except KERNEL_ERRORS as error:
                raise failure(step.node, arguments, error) from error
            if isinstance(result, Tensor):
                values[step.outputs[0]] = result
            else:
                for slot, tensor in zip(step.outputs, result, strict=False):
                    if slot >= 0:
                        values[slot] = tensor
            for slot in step.last_uses:
                if slot not in kept:
                    values[slot] = None

    def _initial_values(self, inputs: Mapping[str, Tensor]) -> list[Tensor | None]:
        program = self._program
        unknown = sorted(set(inputs) - set(program.inputs))
        if unknown:
            raise ModelError(f"the model has no input '{unknown[0]}'", hint=f"expected {', '.join(program.inputs)}")
        values: list[Tensor | None] = [None] * program.size
        for slot, constant in program.constants.items():
            values[slot] = constant
        for name, slot in program.inputs.items():
            if name not in inputs:
                raise ModelError(f"input '{name}' was not given", hint=f"expected {', '.join(program.inputs)}")
            values[slot] = self._placed_input(inputs[name])
        return values

    def _placed_input(self, tensor: Tensor) -> Tensor:
        if tensor.dtype.is_floating_point:
            tensor = tensor.to(self._placement.device)
        if self._placement.channels_last and tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    def _precision(self) -> AbstractContextManager[Any]:
        if self._placement.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self._placement.device.type, dtype=self._placement.autocast_dtype)

    def _tap_slot(self, name: str) -> int:
        if name not in self._program.slots:
            raise ModelError(f"tensor '{name}' is not in the graph", hint="a tap must name a tensor of the model")
        return self._program.slots[name]

    def _result(self, values: list[Tensor | None], slot: int) -> Tensor:
        tensor = values[slot]
        if tensor is None:
            raise ModelError("a graph output or tap is computed by no node")
        return tensor.float() if tensor.dtype == self._placement.autocast_dtype else tensor
