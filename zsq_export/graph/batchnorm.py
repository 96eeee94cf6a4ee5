"""What the BatchNormalizations of a model learned about their inputs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.prepared import BatchNormStatistics
from zsq_export.graph.topology import constant_value, float_attribute, is_op

_DEFAULT_EPSILON = 1e-5
_SLOTS = 5


def harvest_batchnorms(model: ir.Model) -> tuple[BatchNormStatistics, ...]:
    """Statistics of every BatchNormalization with constant parameters, in topological order.

    Expects Identity nodes between a BatchNormalization and its parameters to be gone.
    """
    return tuple(filter(None, (_statistics(node) for node in model.graph if is_op(node, "BatchNormalization"))))


def batchnorm_affine(node: ir.Node) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """``scale, shift`` with ``y = scale * x + shift`` per channel, float64; None where a parameter is computed.

    scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale (Ioffe and Szegedy 2015).
    """
    found = _statistics(node)
    if found is None:
        return None
    scale = found.gamma / np.sqrt(found.variance.astype(np.float64) + found.epsilon)
    return scale, found.beta - found.mean * scale


def _statistics(node: ir.Node) -> BatchNormStatistics | None:
    parameters = [constant_value(value) for value in node.inputs[1:_SLOTS]]
    source = node.inputs[0]
    if source is None or source.name is None or any(array is None for array in parameters):
        return None
    gamma, beta, mean, variance = (np.asarray(array, dtype=np.float32).reshape(-1) for array in parameters)
    return BatchNormStatistics(
        node=str(node.name),
        input_name=source.name,
        mean=mean,
        variance=variance,
        gamma=gamma,
        beta=beta,
        epsilon=float_attribute(node, "epsilon", _DEFAULT_EPSILON),
    )
