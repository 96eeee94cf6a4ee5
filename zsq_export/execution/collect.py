"""Statistics of a model's activations over given inputs, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.errors import ModelError
from zsq_export.execution.batching import Arrays, fixed_batch, run_in_batches, sample_count
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.topology import channel_axis, constant_value
from zsq_export.quantization.accumulate import StatisticsAccumulator
from zsq_export.quantization.statistics import TensorStatistics

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16})

ACTIVATION_BYTES = 128 * 2**20
"""Activations fetched at once; a batch is made smaller until it fits."""


def collect_statistics(
    model: ir.Model,
    inputs: Mapping[str, NDArray[np.float32]],
    *,
    tensors: Sequence[str] | None = None,
    batch_size: int = 8,
) -> dict[str, TensorStatistics]:
    """Runs the float model in ONNX Runtime and gathers statistics batch by batch.

    Args:
        model: the float model.
        inputs: graph input name -> float32 [samples, ...].
        tensors: names to look at; None: every float activation, graph inputs included.
        batch_size: at most so many samples per run; fewer where the activations are large.

    Returns:
        Tensor name -> statistics, in topological order. A tensor without batch axis counts as one sample per run.

    Raises:
        ModelError: a tensor is unknown, or the model cannot be run.
        DataError: the inputs disagree in the number of samples.
    """
    values = _activations(model, tensors)
    session = OrtSession(model, taps=list(values))
    follows = _batch_rule(model)
    accumulators = {
        name: StatisticsAccumulator(channel_axis=_channel_axis(value), batched=follows(value))
        for name, value in values.items()
    }
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for results in run_in_bounded_batches(session, inputs, list(values), batch_size):
            _add_all(pool, accumulators, results)
    return {name: accumulator.result() for name, accumulator in accumulators.items()}


def _add_all(pool: ThreadPoolExecutor, accumulators: Mapping[str, StatisticsAccumulator], results: Arrays) -> None:
    """Adds each tensor to its accumulator, on several threads (numpy's reductions release the interpreter lock)."""
    list(pool.map(lambda name: accumulators[name].add(results.pop(name)), accumulators))


def _activations(model: ir.Model, tensors: Sequence[str] | None) -> dict[str, ir.Value]:
    """The float tensors to look at, in topological order.

    Raises:
        ModelError: a requested name is no activation of the model.
    """
    graph = model.graph
    values = [*graph.inputs, *(output for node in graph for output in node.outputs)]
    constants = set(graph.initializers)
    known = {v.name: v for v in values if v.name and v.name not in constants and v.dtype in _FLOATS and not _fixed(v)}
    if tensors is None:
        return known
    missing = [name for name in tensors if name not in known]
    if missing:
        raise ModelError(f"'{missing[0]}' is no float activation of the model", hint="name a node's output or an input")
    wanted = set(tensors)
    return {name: value for name, value in known.items() if name in wanted}


def _fixed(value: ir.Value) -> bool:
    return constant_value(value) is not None


def _channel_axis(value: ir.Value) -> int | None:
    """The channel axis, if its length is known: one that varies with the batch (attention's layouts) holds none."""
    axis = channel_axis(value)
    return axis if axis is not None and value.shape is not None and isinstance(value.shape[axis], int) else None


def _batch_rule(model: ir.Model) -> Callable[[ir.Value], bool]:
    """Says of a value whether its axis 0 is the batch: the same dimension as the inputs' axis 0.

    Where shape inference left it open, it is taken for the batch.
    """
    batch = {value.shape[0] for value in model.graph.inputs if value.shape is not None and len(value.shape)}

    def follows(value: ir.Value) -> bool:
        if value.shape is None:
            return True
        if not len(value.shape):
            return False
        first = value.shape[0]
        return first in batch or (not isinstance(first, int) and first.value is None)

    return follows


def run_in_bounded_batches(
    session: OrtSession, inputs: Mapping[str, NDArray[Any]], names: Sequence[str], batch_size: int
) -> Iterator[Arrays]:
    """Outputs and taps, the first batch being one sample, whose size decides how many fit into the others."""
    count = sample_count(inputs)
    first = fixed_batch(session.input_shapes) or 1
    size = 1
    for results in run_in_batches(session, {name: array[:first] for name, array in inputs.items()}, first):
        size = sum(results[name].nbytes for name in names) // min(first, count)
        yield results
    if count > first:
        fitting = max(1, min(batch_size, ACTIVATION_BYTES // max(size, 1)))
        yield from run_in_batches(session, {name: array[first:] for name, array in inputs.items()}, fitting)
