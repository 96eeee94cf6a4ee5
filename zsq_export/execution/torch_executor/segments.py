"""A compiled graph cut into segments that can be run, and changed from outside, one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import onnx_ir as ir
import torch
from torch import Tensor

from zsq_export.errors import ModelError
from zsq_export.execution.torch_executor.program import (
    KERNEL_ERRORS,
    Placement,
    Program,
    compile_program,
    failure,
    likes_channels_last,
)

Patch = Callable[[Tensor], Tensor]
"""What a node reads instead of the tensor in one of its slots."""

Patches = Mapping[tuple[str, int], Patch]
"""(node name, input slot) -> patch."""

WEIGHTED_PER_SEGMENT = 2
"""A segment ends at the first chance after so many weighted nodes: a residual block of two convolutions is one unit."""

LARGEST_SEGMENT = 8
"""Weighted nodes after which several tensors may cross the border between two segments."""

_FEWEST = 2
_PROBES = (2, 3)
"""Batches that are tried: an axis of two groups is as long as one of them by chance, never as both."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A run of consecutive nodes.

    Attributes:
        first, last: positions of the nodes, the last one excluded.
        entries: tensors that it reads from before.
        exits: tensors that later nodes, or the caller, read of it.
        nodes: names of its nodes.
    """

    first: int
    last: int
    entries: tuple[str, ...]
    exits: tuple[str, ...]
    nodes: tuple[str, ...]


class SegmentedExecutor:
    """Runs a float graph piece by piece; what any node reads can be replaced, so that quantization can be simulated.

    Args:
        model: the graph.
        device: where it is computed.

    Raises:
        UnsupportedOpError: an operator has no implementation.
    """

    def __init__(self, model: ir.Model, *, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self._program: Program = compile_program(
            model,
            Placement(device=self.device, channels_last=likes_channels_last(self.device), autocast_dtype=None),
        )
        self._names = {slot: name for name, slot in self._program.slots.items()}

    def constant(self, node: str, index: int) -> Tensor:
        """A constant as the node reads it: on the device, in the layout of the kernel.

        Raises:
            ModelError: there is no such constant.
        """
        for step in self._program.steps:
            if step.node.name == node and index < len(step.inputs) and step.inputs[index] in self._program.constants:
                return self._program.constants[step.inputs[index]]
        raise ModelError(f"input {index} of node '{node}' is no constant")

    def segments(self, weighted: Collection[str], inputs: Mapping[str, Tensor]) -> tuple[Segment, ...]:
        """Cuts where as few tensors as possible cross: one, or several where a segment would grow too long.

        Args:
            weighted: names of the nodes that count.
            inputs: of at least two samples; tried out to learn which tensors follow the batch.

        Raises:
            ModelError: the graph cannot run two samples at once.
        """
        steps = self._program.steps
        crossing = self._crossing
        usable = self._follows_batch(inputs)
        cuts, counted, chance = [0], 0, 0
        for position, step in enumerate(steps):
            full = counted >= WEIGHTED_PER_SEGMENT
            if step.node.name in weighted:
                if full and chance > cuts[-1]:
                    counted = sum(later.node.name in weighted for later in steps[chance:position])
                    cuts.append(chance)
                counted += 1
            live = crossing[position]
            few = len(live) == 1 or (counted >= LARGEST_SEGMENT and len(live) <= 4)
            if few and live <= usable and counted >= WEIGHTED_PER_SEGMENT:
                chance = position + 1
        cuts.append(len(steps))
        return tuple(self._segment(first, last, crossing) for first, last in pairwise(cuts))

    def whole(self, exits: Sequence[str]) -> Segment:
        """The whole graph as one segment that gives any of its tensors.

        Raises:
            ModelError: a tensor is not in the graph.
        """
        missing = [name for name in exits if name not in self._program.slots]
        if missing:
            raise ModelError(f"tensor '{missing[0]}' is not in the graph")
        return Segment(
            first=0,
            last=len(self._program.steps),
            entries=tuple(self._program.inputs),
            exits=tuple(exits),
            nodes=tuple(step.node.name for step in self._program.steps),
        )

    def tail(self, nodes: Collection[str]) -> Segment:
        """From the first of some nodes to the end of the graph; all outputs that are computed there are exits.

        Raises:
            ModelError: none of the nodes is in the graph.
        """
        positions = [position for position, step in enumerate(self._program.steps) if step.node.name in nodes]
        if not positions:
            raise ModelError(f"none of the nodes {sorted(nodes)} is in the graph")
        return self._segment(min(positions), len(self._program.steps), self._crossing)

    def run(self, segment: Segment, entries: Mapping[str, Tensor], patches: Patches) -> dict[str, Tensor]:
        """Computes the exits of a segment.

        Args:
            segment: see there.
            entries: its entries, [samples, ...].
            patches: what some nodes read instead.

        Raises:
            ModelError: a node refuses its inputs.
        """
        values: dict[int, Tensor] = dict(self._program.constants)
        values.update({self._program.slots[name]: self._placed(tensor) for name, tensor in entries.items()})
        for step in self._program.steps[segment.first : segment.last]:
            arguments = [values[slot] if slot >= 0 else None for slot in step.inputs]
            for index, argument in enumerate(arguments):
                patch = patches.get((step.node.name, index))
                if patch is not None and argument is not None:
                    arguments[index] = patch(argument)
            try:
                result = step.kernel(*arguments)
            except KERNEL_ERRORS as error:
                raise failure(step.node, arguments, error) from error
            tensors = (result,) if isinstance(result, Tensor) else result
            values.update({slot: tensor for slot, tensor in zip(step.outputs, tensors, strict=False) if slot >= 0})
        return {name: values[self._program.slots[name]] for name in segment.exits}

    def _placed(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device)
        last = tensor.dim() == 4 and likes_channels_last(self.device)
        return tensor.contiguous(memory_format=torch.channels_last) if last else tensor

    @cached_property
    def _crossing(self) -> list[set[str]]:
        """After each step: the computed tensors that a later step reads."""
        steps, constants = self._program.steps, self._program.constants
        last_read = {slot: position for position, step in enumerate(steps) for slot in step.inputs if slot >= 0}
        live = {slot for slot in self._program.inputs.values() if last_read.get(slot, -1) >= 0}
        crossing = []
        for position, step in enumerate(steps):
            live |= {slot for slot in step.outputs if slot >= 0}
            live = {slot for slot in live if last_read.get(slot, -1) > position and slot not in constants}
            crossing.append({self._names[slot] for slot in live})
        return crossing

    def _follows_batch(self, inputs: Mapping[str, Tensor]) -> set[str]:
        """Names of the float tensors whose axis 0 counts samples."""
        if min(len(tensor) for tensor in inputs.values()) < _FEWEST:
            raise ModelError("two samples are needed")
        return set.intersection(*(self._as_long_as(count, inputs) for count in _PROBES))

    def _as_long_as(self, count: int, inputs: Mapping[str, Tensor]) -> set[str]:
        """Names of the float tensors whose axis 0 is as long as the batch of so many samples."""
        probe = {name: tensor[torch.arange(count) % len(tensor)].to(self.device) for name, tensor in inputs.items()}
        names = {self._names[slot] for step in self._program.steps for slot in step.outputs if slot in self._names}
        whole = Segment(first=0, last=len(self._program.steps), entries=(), exits=tuple(names), nodes=())
        with torch.no_grad():
            found = self.run(whole, probe, {})
        return {
            name for name, tensor in found.items()
            if tensor.dtype.is_floating_point and tensor.dim() and len(tensor) == count
        }  # fmt: skip

    def _segment(self, first: int, last: int, crossing: list[set[str]]) -> Segment:
        steps = self._program.steps[first:last]
        before = crossing[first - 1] if first else set(self._program.inputs)
        read = {self._names.get(slot, "") for step in steps for slot in step.inputs if slot >= 0}
        made = {self._names.get(slot, "") for step in steps for slot in step.outputs if slot >= 0}
        after = crossing[last - 1] if last < len(self._program.steps) else set()
        wanted = (after | set(self._program.outputs)) & made
        return Segment(
            first=first,
            last=last,
            entries=tuple(sorted(before & read)),
            exits=tuple(sorted(wanted)),
            nodes=tuple(step.node.name for step in steps),
        )
