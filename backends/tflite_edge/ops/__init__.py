"""One module per group of ONNX ops. Importing this package registers them all."""

from zsq_export.backends.tflite_edge.ops import (
    activation,
    arithmetic,
    convolution,
    curves,
    deconvolution,
    joining,
    linear,
    logic,
    normalization,
    padding,
    pooling,
    reduction,
    resize,
    selection,
    shape,
    slicing,
)

__all__ = [
    "activation", "arithmetic", "convolution", "curves", "deconvolution", "joining", "linear", "logic", "normalization",
    "padding", "pooling", "reduction", "resize", "selection", "shape", "slicing",
]  # fmt: skip
