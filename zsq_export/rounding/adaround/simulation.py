"""The plan as patches of a float graph: every slot that reads a quantized tensor, in the target's own placement."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsq_export.errors import ModelError
from zsq_export.execution.torch_executor.segments import Patch, SegmentedExecutor
from zsq_export.planning.check import settle_biases
from zsq_export.planning.plan import BiasCorrection, Plan, Role, TensorPlan, Use
from zsq_export.quantization.dtypes import FULL_WIDTH
from zsq_export.quantization.linear import container
from zsq_export.quantization.qparams import QParams
from zsq_export.quantization.ranges import as_scale
from zsq_export.rounding.adaround.learned import BiasShift, LearnedStep, MaskPool, RoundedWeight, along
from zsq_export.rounding.adaround.sharing import StepKey
from zsq_export.rounding.base import Integers, Rounded

_WEIGHT_SLOT, _BIAS_SLOT = 1, 2


@dataclass(kw_only=True)
class Mode:
    """How the patches compute; changed between learning and running.

    Attributes:
        masks: say which activation elements stay float; None: none.
    """

    masks: MaskPool | None = None


@dataclass(kw_only=True)
class Simulation:
    """Learned parts of the whole plan.

    Attributes:
        weights: of fewer than 8 bits, by tensor name.
        keys: tensor -> key of its step.
        steps: of the activations; tensors that must share a scale share a step.
        biases: by node.
        patches: for every slot that the plan names.
        mode: see there.
    """

    weights: dict[str, RoundedWeight] = field(default_factory=dict)
    keys: dict[str, StepKey] = field(default_factory=dict)
    steps: dict[StepKey, LearnedStep] = field(default_factory=dict)
    biases: dict[str, BiasShift] = field(default_factory=dict)
    patches: dict[tuple[str, int], Patch] = field(default_factory=dict)
    mode: Mode = field(default_factory=Mode)

    def learned_weights(self, plan: Plan, nodes: set[str]) -> dict[str, RoundedWeight]:
        """Those that a segment's nodes read."""
        return {
            item.tensor: self.weights[item.tensor]
            for item in plan.tensors
            if item.tensor in self.weights and any(use.node in nodes for use in item.uses)
        }

    def learned_steps(self, plan: Plan, nodes: set[str]) -> dict[StepKey, LearnedStep]:
        """Steps of fewer than 8 bits that a segment's nodes read."""
        return {
            self.keys[item.tensor]: self.steps[self.keys[item.tensor]]
            for item in plan.tensors
            if item.role is Role.ACTIVATION and item.qparams.width < FULL_WIDTH
            if any(use.node in nodes for use in item.uses)
        }

    def result(self, plan: Plan, nodes: dict[str, ir.Node]) -> Rounded:
        """The plan with what was learned, and the integers; ``nodes`` are the model's, by name."""
        integers = {
            name: weight.integers().detach().cpu().contiguous().numpy().astype(container(weight.qparams.dtype))
            for name, weight in self.weights.items()
        }
        learned = replace(
            plan,
            tensors=tuple(self._learned(item) for item in plan.tensors),
            bias_corrections=self._corrections(plan),
            learned=True,
        )
        return Rounded(plan=replace(learned, tensors=settle_biases(learned, nodes)), integers=integers)

    def _learned(self, item: TensorPlan) -> TensorPlan:
        scales = item.qparams.scale
        if item.tensor in self.weights and item.role is Role.WEIGHT:
            scales = self.weights[item.tensor].scales()
        elif self.keys[item.tensor] in self.steps and item.role is not Role.BIAS:
            scales = (float(self.steps[self.keys[item.tensor]].scale().detach()),)
        return replace(item, qparams=replace(item.qparams, scale=tuple(as_scale(s) for s in scales)))

    def _corrections(self, plan: Plan) -> tuple[BiasCorrection, ...]:
        given = {item.node: np.array(item.delta, np.float64) for item in plan.bias_corrections}
        for node, bias in self.biases.items():
            given[node] = bias.delta().detach().cpu().numpy().reshape(-1).astype(np.float64)
        return tuple(BiasCorrection(node=node, delta=tuple(map(float, delta))) for node, delta in given.items())


def simulate(
    executor: SegmentedExecutor, plan: Plan, reach: float, starts: Integers, keys: dict[str, StepKey]
) -> Simulation:
    """Makes the patches of a plan.

    Weights of 8 bits and more are rounded to the nearest and stay so. Biases of nodes whose weight is learned are
    learned, too; the plan's corrections of the others are applied. A rounding may leave its value by ``reach`` steps
    more than to the nearest integer.
    """
    made = Simulation(keys=keys)
    for item in plan.tensors:
        if item.role is Role.ACTIVATION:
            step = made.steps.setdefault(keys[item.tensor], LearnedStep(item.qparams, executor.device))
            made.patches.update({(use.node, use.input_index): _activation(step, made.mode) for use in item.uses})
        elif item.role is Role.WEIGHT:
            _add_weight(made, executor, item, reach, starts.get(item.tensor))
    corrections = {item.node: item.delta for item in plan.bias_corrections}
    for node in {use.node for item in plan.tensors for use in item.uses} | set(corrections):
        _add_bias(made, executor, node, corrections.get(node), plan)
    return made


def _add_weight(
    made: Simulation, executor: SegmentedExecutor, item: TensorPlan, reach: float, start: NDArray[Any] | None
) -> None:
    first = item.uses[0]
    array = executor.constant(first.node, first.input_index)
    integers = None if start is None else torch.from_numpy(start.astype(np.float32)).to(executor.device)
    learn = item.qparams.width < FULL_WIDTH and all(use.input_index == _WEIGHT_SLOT for use in item.uses)
    if learn:
        made.weights[item.tensor] = RoundedWeight(array, item.qparams, reach, integers)
        patch = _weight(made.weights[item.tensor])
    else:
        patch = _fixed(nearest(array, item.qparams) if integers is None else _restored(integers, item.qparams))
    made.patches.update({(use.node, use.input_index): patch for use in item.uses})


def _add_bias(
    made: Simulation, executor: SegmentedExecutor, node: str, correction: tuple[float, ...] | None, plan: Plan
) -> None:
    try:
        bias = executor.constant(node, _BIAS_SLOT)
    except ModelError:
        return
    use = Use(node=node, input_index=_WEIGHT_SLOT)
    learned = any(item.tensor in made.weights and use in item.uses for item in plan.tensors)
    if learned:
        made.biases[node] = BiasShift(bias, correction)
        shift = made.biases[node]
        made.patches[node, _BIAS_SLOT] = lambda value: value + shift.delta()
    elif correction is not None:
        corrected = bias + torch.tensor(correction, device=bias.device).reshape(bias.shape)
        made.patches[node, _BIAS_SLOT] = _fixed(corrected)


def nearest(array: Tensor, qparams: QParams) -> Tensor:
    """The array on the grid."""
    scale, zero_point = (along(part, qparams.axis, array) for part in (qparams.scale, qparams.zero_point))
    low, high = qparams.limits
    return ((array / scale).round() + zero_point).clamp(low, high).sub(zero_point).mul(scale)


def _restored(integers: Tensor, qparams: QParams) -> Tensor:
    scale, zero_point = (along(part, qparams.axis, integers) for part in (qparams.scale, qparams.zero_point))
    return (integers - zero_point) * scale


def _activation(step: LearnedStep, mode: Mode) -> Patch:
    return lambda value: step.quantized(value, None if mode.masks is None else mode.masks.mask(value))


def _weight(weight: RoundedWeight) -> Patch:
    return lambda _value: weight.weight()


def _fixed(array: Tensor) -> Patch:
    return lambda _value: array
