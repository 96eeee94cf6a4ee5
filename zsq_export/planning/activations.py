"""Scale and zero point of every quantized activation, one per group of tensors that share a scale."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from zsq_export.errors import PlanError
from zsq_export.graph.topology import constant_value, value_by_name
from zsq_export.planning.options import PlanOptions
from zsq_export.planning.placement import Placement, strictest
from zsq_export.planning.table import PlacementTable
from zsq_export.quantization.dtypes import QuantSpec
from zsq_export.quantization.estimators import Range, estimate_range
from zsq_export.quantization.qparams import QParams
from zsq_export.quantization.ranges import qparams_from_range
from zsq_export.quantization.statistics import TensorStatistics


def activation_qparams(
    model: ir.Model,
    placement: Placement,
    statistics: Mapping[str, TensorStatistics],
    table: PlacementTable,
    options: PlanOptions,
) -> dict[str, QParams]:
    """Tensor name -> per-tensor qparams, for every tensor that the placement asks about.

    Tensors of one group get the union of their ranges and the strictest of their types. The range of a tensor is the
    fixed one of the op that computes it, the values themselves of a constant, or what the estimator makes of its
    statistics.

    Raises:
        PlanError: there are no finite statistics for a tensor.
    """
    values = value_by_name(model)
    fixed = {entry.op_type: (entry.minimum, entry.maximum) for entry in table.fixed_outputs}
    found: dict[str, QParams] = {}
    for names in placement.scale_groups.together(list(placement.specs)).values():
        spec = strictest([placement.specs[name] for name in names])
        sources = [name for name in names if name not in placement.carried] or names
        ranges = [_range_of(values[name], statistics, fixed, options, spec) for name in sources]
        shared = qparams_from_range(min(low for low, _ in ranges), max(high for _, high in ranges), spec)
        found.update(dict.fromkeys(names, shared))
    return found


def _range_of(
    value: ir.Value,
    statistics: Mapping[str, TensorStatistics],
    fixed: Mapping[str, Range],
    options: PlanOptions,
    spec: QuantSpec,
) -> Range:
    name = value.name or ""
    constant = constant_value(value)
    if constant is not None:
        return _finite(name, float(np.min(constant, initial=0.0)), float(np.max(constant, initial=0.0)))
    producer = value.producer()
    if producer is not None and producer.op_type in fixed:
        return fixed[producer.op_type]
    if name not in statistics:
        raise PlanError(
            f"the calibration has no statistics for tensor {name!r}",
            hint="calibrate this very model file; a saved calibration of another export does not fit",
        )
    seen = statistics[name]
    _finite(name, seen.minimum, seen.maximum)
    return estimate_range(seen, options.activation_estimator(spec), spec)


def _finite(name: str, low: float, high: float) -> Range:
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PlanError(
            f"tensor {name!r} reaches {low} .. {high}: it cannot be quantized",
            hint="check the model's weights and the input range (--mean/--std)",
        )
    return low, high
