"""Covariance of what every weighted op multiplies its weights with, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from zsq_export.execution.batching import sample_count
from zsq_export.execution.collect import run_in_bounded_batches
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.topology import float_weight, int_attribute, ints_attribute, is_op

ROWS = 4096
"""Input vectors looked at per op, spread evenly over the samples and chosen at random within each batch."""

LARGEST_VECTOR = 2560
"""Ops whose weights meet longer input vectors are left out: the matrix and its factors grow with the square."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class InputCovariance:
    """float64 [groups, length, length], ``length`` being the weights of one output channel."""

    node: str
    matrix: NDArray[np.float64]


def input_length(node: ir.Node) -> int | None:
    """Weights per output channel of a Conv, Gemm or MatMul that :func:`collect_covariances` can look at; else None."""
    weight = float_weight(node)
    if weight is None:
        return None
    if is_op(node, "Conv") and "auto_pad" not in node.attributes:
        return int(np.prod(weight.shape[1:]))
    if is_op(node, "Gemm") and not int_attribute(node, "transA", 0):
        return int(weight.shape[1 if int_attribute(node, "transB", 0) else 0])
    if is_op(node, "MatMul") and weight.ndim == 2:
        return int(weight.shape[0])
    return None


class Covariances:
    """Of one model on its inputs: gathered when they are first asked for, then kept for every target."""

    def __init__(self, model: ir.Model, inputs: Mapping[str, NDArray[np.float32]]) -> None:
        self._model = model
        self._inputs = inputs
        self._found: dict[str, InputCovariance] = {}

    def of(self, nodes: Sequence[ir.Node]) -> Mapping[str, InputCovariance]:
        """Node name -> covariance, of at least these nodes; see :func:`collect_covariances`."""
        missing = [node for node in nodes if str(node.name) not in self._found]
        if missing:
            self._found |= collect_covariances(self._model, self._inputs, missing)
        return self._found


def collect_covariances(
    model: ir.Model, inputs: Mapping[str, NDArray[np.float32]], nodes: Sequence[ir.Node], *, batch_size: int = 8
) -> dict[str, InputCovariance]:
    """Runs the float model in ONNX Runtime and gathers second moments batch by batch.

    Args:
        model: the float model.
        inputs: graph input name -> float32 [samples, ...].
        nodes: Conv, Gemm and MatMul nodes for which :func:`input_length` gives at most ``LARGEST_VECTOR``.
        batch_size: at most so many samples per run; fewer where the activations are large.

    Returns:
        Node name -> covariance (centred).

    Raises:
        ModelError: the model cannot be run.
        DataError: the inputs disagree in the number of samples.
    """
    taps = sorted({str(node.inputs[0].name) for node in nodes if node.inputs[0] is not None})
    session = OrtSession(model, taps=taps)
    moments = [_Moments(node, ROWS / sample_count(inputs)) for node in nodes]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for results in run_in_bounded_batches(session, inputs, taps, batch_size):
            list(pool.map(partial(_Moments.add, batch=results), moments))
    return {found.node: found for found in (moment.covariance() for moment in moments)}


class _Moments:
    """Sums of the input vectors of one node and of their products, both taken from a pivot near the mean.

    Without it a mean much larger than the deviation would leave nothing of the covariance in float32.
    """

    def __init__(self, node: ir.Node, rows_per_sample: float) -> None:
        self._node = node
        self._rows_per_sample = rows_per_sample
        self._rng = np.random.default_rng(0)
        self._count = 0
        self._pivot: torch.Tensor | None = None
        self._sum: torch.Tensor | float = 0.0
        self._products: torch.Tensor | float = 0.0

    def add(self, batch: Mapping[str, NDArray[Any]]) -> None:
        source = self._node.inputs[0]
        assert source is not None
        activation = batch[str(source.name)]
        rows = max(1, int(self._rows_per_sample * len(activation)))
        vectors = torch.from_numpy(_vectors(self._node, activation, rows, self._rng))
        by_group = vectors.transpose(0, 1)
        if self._pivot is None:
            self._pivot = by_group.mean(dim=1, keepdim=True)
        by_group = by_group - self._pivot
        self._count += len(vectors)
        self._sum = self._sum + by_group.sum(dim=1)
        self._products = self._products + by_group.transpose(1, 2) @ by_group

    def covariance(self) -> InputCovariance:
        mean = torch.as_tensor(self._sum).double() / self._count
        centred = torch.as_tensor(self._products).double() / self._count - mean[:, :, None] * mean[:, None, :]
        return InputCovariance(node=str(self._node.name), matrix=centred.numpy())


def _vectors(node: ir.Node, activation: FloatArray, rows: int, rng: np.random.Generator) -> FloatArray:
    """A choice of the vectors that the weights of one output channel are multiplied with: [rows, groups, length]."""
    if not is_op(node, "Conv"):
        flat = activation.reshape(-1, 1, activation.shape[-1])
        return np.ascontiguousarray(flat[_choice(len(flat), rows, rng)])
    windows = _windows(node, activation)
    rank = activation.ndim - 2
    places = (windows.shape[0], *windows.shape[2 : 2 + rank])
    chosen = np.unravel_index(_choice(int(np.prod(places)), rows, rng), places)
    picked = np.moveaxis(windows, 1, 1 + rank)[chosen]
    return np.ascontiguousarray(picked.reshape(len(picked), int_attribute(node, "group", 1), -1))


def _choice(available: int, rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    if available <= rows:
        return np.arange(available)
    return np.sort(rng.choice(available, rows, replace=False))


def _windows(node: ir.Node, activation: FloatArray) -> FloatArray:
    """A view of the padded input: [samples, channels, *output places, *kernel]."""
    weight = float_weight(node)
    assert weight is not None
    rank = activation.ndim - 2
    kernel = weight.shape[2:]
    pads = ints_attribute(node, "pads", (0,) * (2 * rank))
    strides = ints_attribute(node, "strides", (1,) * rank)
    dilations = ints_attribute(node, "dilations", (1,) * rank)
    around = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    padded = np.pad(activation, around) if any(pads) else activation
    spans = tuple((side - 1) * step + 1 for side, step in zip(kernel, dilations, strict=True))
    everywhere = sliding_window_view(padded, spans, axis=tuple(range(2, 2 + rank)))
    steps = [slice(None), slice(None), *(slice(None, None, s) for s in (*strides, *dilations))]
    return everywhere[tuple(steps)]
