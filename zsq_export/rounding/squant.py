"""Rounding ``squant``: errors cancel within kernels and output channels. Needs no data; milliseconds to a second."""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.graph.topology import constant_value, node_by_name, value_by_name, weight_axis
from zsq_export.planning.plan import Role, TensorPlan
from zsq_export.quantization.squant import squant
from zsq_export.rounding.base import Rounded, RoundingRequest
from zsq_export.rounding.correction import with_corrected_biases

_WEIGHT_SLOT = 1


class SquantRounding:
    """SQuant (Guo et al., ICLR 2022) for the weights of all Conv, ConvTranspose, Gemm and MatMul nodes."""

    name = "squant"
    summary = "flips roundings until errors cancel per kernel and channel (SQuant); no data, under a second"
    needs_inputs = False

    def obstacle(self, request: RoundingRequest) -> str | None:
        """Works everywhere."""
        return None

    def round(self, request: RoundingRequest) -> Rounded:
        """Flips, and corrects the biases for the errors that are left."""
        nodes, values = node_by_name(request.model), value_by_name(request.model)
        integers = {}
        for item in request.plan.tensors:
            axis = _output_axis(item, nodes)
            weight = constant_value(values[item.tensor]) if axis is not None else None
            if axis is not None and weight is not None:
                integers[item.tensor] = squant(weight, item.qparams, axis)
        return with_corrected_biases(request, integers)


def _output_axis(item: TensorPlan, nodes: dict[str, ir.Node]) -> int | None:
    """Axis of the output channels, if the tensor is the weight of one or several weighted nodes."""
    if item.role is not Role.WEIGHT or any(use.input_index != _WEIGHT_SLOT for use in item.uses):
        return None
    axes = {weight_axis(nodes[use.node]) for use in item.uses}
    return axes.pop() if len(axes) == 1 else None
