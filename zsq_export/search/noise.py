"""What each quantized tensor alone does to the outputs, measured on synthetic inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.errors import ModelError
from zsq_export.execution.batching import run_in_batches
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.topology import constant_value, value_by_name
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning.plan import Plan, Role, TensorPlan
from zsq_export.quantization.linear import dequantize, fake_quantize
from zsq_export.rounding.base import Rounded

if TYPE_CHECKING:
    from zsq_export.execution.torch_executor.segments import Patch

Arrays = Mapping[str, NDArray[Any]]
OnlyThis = Callable[[TensorPlan], Arrays]
"""Outputs of the float model with one tensor quantized."""


def tensor_noise(
    model: ir.Model, rounded: Rounded, inputs: Arrays, progress: Callable[[float], None] = lambda _done: None
) -> dict[int, float]:
    """Squared error of the outputs with one tensor of a plan quantized, over their variance.

    The measure of :func:`zsq_export.mixed.sensitivity.sensitivities`, for activations, too. Biases are int32 and left
    out.

    Args:
        model: the folded float model.
        rounded: the plan, and integers of its weights.
        inputs: graph input -> float32 [samples, ...]; a few are enough.
        progress: called with the share done.

    Returns:
        Position of a tensor in the plan -> figure; 0 for one that changes nothing.
    """
    run = _one_by_one(model, rounded, inputs)
    exact = _exact(model, inputs)
    found = {}
    for index, item in enumerate(rounded.plan.tensors):
        found[index] = 0.0 if item.role is Role.BIAS else _error(exact, run(item))
        progress((index + 1) / len(rounded.plan.tensors))
    return found


def _one_by_one(model: ir.Model, rounded: Rounded, inputs: Arrays) -> OnlyThis:
    try:
        return _InTorch(model, rounded, inputs)
    except ModelError:
        return _in_onnxruntime(model, rounded, inputs)


def _exact(model: ir.Model, inputs: Arrays) -> Arrays:
    return _all(OrtSession(model), inputs)


def _all(session: OrtSession, inputs: Arrays) -> Arrays:
    batches = list(run_in_batches(session, inputs, 16))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _error(exact: Arrays, found: Arrays) -> float:
    """Mean over the float outputs of error power / variance."""
    parts = []
    for name, reference in exact.items():
        if np.issubdtype(reference.dtype, np.floating):
            difference = reference.astype(np.float64) - found[name].reshape(reference.shape)
            parts.append(float(np.mean(difference**2)) / max(float(reference.astype(np.float64).var()), 1e-20))
    error = float(np.mean(parts)) if parts else 0.0
    return error if np.isfinite(error) else float(np.finfo(np.float32).max)


class _InTorch:
    """One compiled graph for all tensors, run from where each is read first.

    Raises:
        ModelError: PyTorch cannot run it.
    """

    def __init__(self, model: ir.Model, rounded: Rounded, inputs: Arrays) -> None:
        import torch

        from zsq_export.execution.torch_executor.segments import SegmentedExecutor

        self._rounded, self._constants = rounded, value_by_name(model)
        self._executor = SegmentedExecutor(model)
        self._tails = {
            item.tensor: self._executor.tail([use.node for use in item.uses])
            for item in rounded.plan.tensors if item.uses
        }  # fmt: skip
        outputs = [value.name or "" for value in model.graph.outputs]
        read = {name for tail in self._tails.values() for name in tail.entries}
        feeds = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
        with torch.no_grad():
            self._known = self._executor.run(self._executor.whole(sorted({*outputs, *read})), feeds, {})
        self._exact = {name: self._known[name] for name in outputs}

    def __call__(self, item: TensorPlan) -> Arrays:
        import torch

        found = dict(self._exact)
        if item.uses:
            tail, patch = self._tails[item.tensor], self._patch(item)
            patches = {(use.node, use.input_index): patch for use in item.uses}
            with torch.no_grad():
                found |= self._executor.run(tail, {name: self._known[name] for name in tail.entries}, patches)
        arrays = {name: tensor.contiguous().numpy() for name, tensor in found.items()}
        if item.as_output:
            arrays[item.tensor] = fake_quantize(arrays[item.tensor], item.qparams)
        return arrays

    def _patch(self, item: TensorPlan) -> Patch:
        import torch

        if item.role is Role.ACTIVATION:
            return lambda tensor: torch.from_numpy(fake_quantize(tensor.numpy(), item.qparams))
        fixed = torch.from_numpy(_weight(item, self._rounded, self._constants[item.tensor]))
        return lambda _tensor: fixed


def _weight(item: TensorPlan, rounded: Rounded, value: ir.Value) -> NDArray[np.float32]:
    integers = rounded.integers.get(item.tensor)
    if integers is not None:
        return dequantize(integers, item.qparams)
    array = constant_value(value)
    assert array is not None
    return fake_quantize(array, item.qparams)


def _in_onnxruntime(model: ir.Model, rounded: Rounded, inputs: Arrays) -> OnlyThis:
    """A QDQ model of its own for each tensor."""

    def run(item: TensorPlan) -> Arrays:
        changed = model.clone()
        InsertQdq(_only(rounded.plan, item), rounded.integers)(changed)
        return _all(OrtSession(changed), inputs)

    return run


def _only(plan: Plan, item: TensorPlan) -> Plan:
    return replace(plan, tensors=(item,), bias_corrections=())


def spread_samples(inputs: Sequence[Arrays], count: int) -> dict[str, NDArray[Any]]:
    """The first few samples of each of several sets, together at most ``count``."""
    each = max(1, count // len(inputs))
    return {name: np.concatenate([part[name][:each] for part in inputs]) for name in inputs[0]}
