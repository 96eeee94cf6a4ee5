"""How well synthetic inputs fit what the first layers of a model expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.execution.batching import run_in_batches
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepared import BatchNormStatistics, PreparedModel
from zsq_export.graph.topology import is_op, producers
from zsq_export.quantization.accumulate import MomentAccumulator

FloatArray = NDArray[np.float32]

LARGEST_MISMATCH = 9.0
"""Cap of one channel's squared mismatch, so that a few dead channels do not decide."""

WATCHED_LAYERS = 6
SAMPLES_AT_ONCE = 4
_PICTURE_RANK = 4


def first_batchnorms(model: PreparedModel) -> tuple[BatchNormStatistics, ...]:
    """The BatchNorms that no other BatchNorm precedes."""
    by_node = {norm.node: norm for norm in model.batchnorms}
    behind: set[ir.Node] = set()
    first: list[BatchNormStatistics] = []
    for node in model.with_batchnorm.graph:
        preceded = any(producer in behind for producer in producers(node))
        if is_op(node, "BatchNormalization") and not preceded and node.name in by_node:
            first.append(by_node[node.name])
        if preceded or is_op(node, "BatchNormalization"):
            behind.add(node)
    return tuple(first)


def head(model: ir.Model, tensors: Sequence[str]) -> ir.Model:
    """The part of a model that computes these tensors; the rest would only cost time, or may not run at all."""
    outputs = list(dict.fromkeys(tensors))
    graph = ir.convenience.extract(model.graph, inputs=list(model.graph.inputs), outputs=outputs)
    return ir.Model(graph, ir_version=model.ir_version)


Moments = tuple[FloatArray, FloatArray]
"""Mean and standard deviation per channel."""


def _moments(
    session: OrtSession, inputs: Mapping[str, FloatArray], axis_of: Callable[[FloatArray], int]
) -> dict[str, Moments]:
    """Of every output of the session, a few samples at a time: early activations of large pictures fill the memory."""
    accumulators: dict[str, MomentAccumulator] = {}
    for batch in run_in_batches(session, inputs, SAMPLES_AT_ONCE):
        for name, activation in batch.items():
            rows = np.moveaxis(activation, axis_of(activation), -1)
            others = tuple(range(rows.ndim - 1))
            count = rows.size // rows.shape[-1]
            mean, variance = rows.mean(others, dtype=np.float64), rows.var(others, dtype=np.float64)
            accumulators.setdefault(name, MomentAccumulator()).add(count, mean, variance * count)
    return {name: (seen.mean, np.sqrt(seen.variance)) for name, seen in accumulators.items()}


def _axis_1(_activation: FloatArray) -> int:
    return 1


def _channels(activation: FloatArray) -> int:
    """Axis 1 of pictures, the last one of vectors and tokens."""
    return 1 if activation.ndim == _PICTURE_RANK else activation.ndim - 1


def batchnorm_mismatch(norm: BatchNormStatistics, moments: Moments) -> float:
    """Mean over the channels of ((m - μ) / σ)² + ln(s / σ)², each capped; 0 is a perfect fit.

    Args:
        norm: stored μ and σ.
        moments: of the BatchNorm's input.
    """
    mean, deviation = moments
    sigma = np.sqrt(norm.variance.astype(np.float64) + norm.epsilon)
    shift = ((mean - norm.mean) / sigma) ** 2
    stretch = np.log((deviation + 1e-9) / sigma) ** 2
    alive = norm.variance > 1e-6 * norm.variance.max()
    return float((np.minimum(shift, LARGEST_MISMATCH) + np.minimum(stretch, LARGEST_MISMATCH))[alive].mean())


class BatchNormProbe:
    """Scores inputs by the first BatchNorms (which decide, measured: DESIGN §6 lesson 7)."""

    def __init__(self, model: PreparedModel) -> None:
        self._norms = first_batchnorms(model)
        self._session = OrtSession(head(model.with_batchnorm, [norm.input_name for norm in self._norms]))

    def mismatch(self, inputs: Mapping[str, FloatArray]) -> float:
        """Average mismatch of the first BatchNorms on these inputs; lower is better."""
        seen = _moments(self._session, inputs, _axis_1)
        return float(np.mean([batchnorm_mismatch(norm, seen[norm.input_name]) for norm in self._norms]))


class ActivationProbe:
    """Scores inputs of a model without BatchNorm: trained layers keep |mean / σ| small and σ near 1 (measured on 8
    networks with BatchNorm folded: right on all of them between raw pixels and normalised ones, and no finer)."""

    def __init__(self, model: PreparedModel) -> None:
        weighted = [node for node in model.folded.graph if is_op(node, "Conv", "Gemm", "MatMul")]
        self._taps = [str(node.outputs[0].name) for node in weighted[:WATCHED_LAYERS]]
        self._session = OrtSession(head(model.folded, self._taps)) if self._taps else None

    def mismatch(self, inputs: Mapping[str, FloatArray]) -> float:
        """Average over the first weighted layers of min(|mean/σ|, 5) + |ln σ|; lower is better."""
        if self._session is None:
            return 0.0
        seen = _moments(self._session, inputs, _channels)
        return float(np.mean([self._score(*seen[name]) for name in self._taps]))

    @staticmethod
    def _score(mean: FloatArray, deviation: FloatArray) -> float:
        sigma = deviation + 1e-9
        return float(np.mean(np.minimum(np.abs(mean) / sigma, 5.0) + np.abs(np.log(sigma))))
