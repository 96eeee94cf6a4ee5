"""Rounding ``gptq``: later weights take back the error of earlier ones, as the synthetic inputs weigh it. Seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.graph.topology import float_weight, node_by_name, weight_axis
from zsq_export.planning.plan import Role, TensorPlan
from zsq_export.quantization.linear import container
from zsq_export.rounding.base import Rounded, RoundingRequest
from zsq_export.rounding.correction import with_corrected_biases


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """One weight to round and the node that it belongs to."""

    item: TensorPlan
    node: ir.Node
    weight: NDArray[np.float32]


class GptqRounding:
    """GPTQ (Frantar et al., ICLR 2023) for the weights of Conv, Gemm and MatMul nodes; the others go to the nearest.

    Measured at 8 bits (docs/decisions/0003-rounding.md): 4 to 5 dB less weight error.
    """

    name = "gptq"
    summary = "later weights take back the error of earlier ones, weighed by the synthetic inputs; seconds"
    needs_inputs = True

    def obstacle(self, request: RoundingRequest) -> str | None:
        """Why it cannot work: no inputs."""
        return None if request.inputs else "the calibration holds no inputs (calibrator moments makes none)"

    def round(self, request: RoundingRequest) -> Rounded:
        """Chooses the integers, and corrects the biases for the mean error that is left.

        Raises:
            ModelError: the model cannot be run.
        """
        from zsq_export.execution.covariance import Covariances

        jobs = _jobs(request)
        covariances = request.covariances or Covariances(request.model, request.inputs)
        found = covariances.of([job.node for job in jobs])
        integers = {job.item.tensor: _rounded(job, found[str(job.node.name)].matrix) for job in jobs}
        return with_corrected_biases(request, integers)


def _jobs(request: RoundingRequest) -> Sequence[_Job]:
    """Weights of one node each, with a scale per output channel or one in all."""
    from zsq_export.execution.covariance import LARGEST_VECTOR, input_length

    nodes = node_by_name(request.model)
    jobs = []
    for item in request.plan.tensors:
        if item.role is not Role.WEIGHT or len(item.uses) != 1:
            continue
        node = nodes[item.uses[0].node]
        length, weight = input_length(node), float_weight(node)
        if length is None or weight is None or length > LARGEST_VECTOR or item.uses[0].input_index != 1:
            continue
        if item.qparams.axis in (None, weight_axis(node)):
            jobs.append(_Job(item=item, node=node, weight=weight))
    return jobs


def _rounded(job: _Job, covariance: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
    from zsq_export.quantization.gptq import gptq

    axis = weight_axis(job.node) or 0
    rows = np.moveaxis(job.weight, axis, 0)
    groups = len(covariance)
    grouped = np.ascontiguousarray(rows.reshape(groups, len(rows) // groups, -1))
    qparams = job.item.qparams
    scale = _per_row(qparams.scale, len(rows), groups).astype(np.float32)
    zero_point = _per_row(qparams.zero_point, len(rows), groups).astype(np.int64)
    low, high = qparams.limits
    integers = gptq(grouped, covariance, scale, (low - zero_point, high - zero_point)) + zero_point[:, :, None]
    restored = np.moveaxis(integers.reshape(rows.shape), 0, axis)
    return np.ascontiguousarray(restored).astype(container(qparams.dtype))


def _per_row(values: tuple[float, ...] | tuple[int, ...], rows: int, groups: int) -> NDArray[Any]:
    return np.broadcast_to(np.asarray(values), (rows,)).reshape(groups, -1)
