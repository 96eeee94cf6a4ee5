"""Types and symbolic shapes of every tensor."""

from __future__ import annotations

import logging

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass


def infer_shapes(model: ir.Model) -> None:
    """Infers types and shapes in place; symbolic dimensions keep their names.

    What cannot be inferred stays unknown: the passes that need a rank look for themselves.
    """
    logger = logging.getLogger("onnx_ir.passes.common.shape_inference")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    finally:
        logger.setLevel(level)
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            value.shape, value.dtype = ir.Shape(value.const_value.numpy().shape), value.const_value.dtype
