"""What a step of gradient descent on a model's inputs costs."""

from __future__ import annotations

import math

from zsq_export.graph.prepared import PreparedModel
from zsq_export.graph.topology import static_shape, value_by_name

_PICTURE_ELEMENTS = 1_000_000
"""Taken for the BatchNorm inputs of one sample where the model leaves its sizes open."""


def elements_per_sample(model: PreparedModel) -> int:
    """Elements of all BatchNorm inputs for one sample, which the time of a step is roughly proportional to."""
    values = value_by_name(model.with_batchnorm)
    shapes = [static_shape(values[norm.input_name]) for norm in model.batchnorms]
    known = [shape[1:] for shape in shapes if shape is not None and None not in shape[1:]]
    return sum(math.prod(side or 0 for side in sides) for sides in known) or _PICTURE_ELEMENTS
