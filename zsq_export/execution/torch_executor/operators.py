"""Loads every group of operators, so that the registry is complete."""

from __future__ import annotations

from zsq_export.execution.torch_executor import (  # noqa: F401
    activation,
    convolution,
    elementwise,
    generation,
    indexing,
    linear,
    normalization,
    padding,
    pooling,
    quantization,
    reduction,
    resize,
    shape,
)
from zsq_export.execution.torch_executor.registry import registered


def supported() -> frozenset[str]:
    """Operator types of the standard domain that have an implementation."""
    return registered()
