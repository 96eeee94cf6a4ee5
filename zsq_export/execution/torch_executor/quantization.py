"""Quantization to 8, 16 and 32 bits and back, as ONNX defines it."""

from __future__ import annotations

import torch
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator

_INTEGERS = (torch.int8, torch.uint8, torch.int16, torch.int32)


@operator("QuantizeLinear")
def _quantize(node: NodeView) -> Kernel:
    spread = _Spread(node)
    named = node.integer("output_dtype")
    wanted = node.dtype(named) if named else torch.uint8
    if not node.integer("saturate", 1):
        raise node.unsupported("saturate=0 is not implemented")
    if node.integer("precision"):
        raise node.unsupported("precision is not implemented")

    def quantize(x: Tensor, scale: Tensor, zero_point: Tensor | None = None) -> Tensor:
        dtype = wanted if zero_point is None else zero_point.dtype
        if dtype not in _INTEGERS:
            raise node.unsupported(f"{dtype} is not implemented")
        steps = torch.round(x / spread(scale, x).to(x.dtype))
        if zero_point is not None:
            steps = steps + spread(zero_point, x)
        limits = torch.iinfo(dtype)
        return steps.clamp(limits.min, limits.max).to(dtype)

    return quantize


@operator("DequantizeLinear")
def _dequantize(node: NodeView) -> Kernel:
    spread = _Spread(node)
    named = node.integer("output_dtype")
    wanted = node.dtype(named) if named else None

    def dequantize(x: Tensor, scale: Tensor, zero_point: Tensor | None = None) -> Tensor:
        if x.dtype not in _INTEGERS:
            raise node.unsupported(f"{x.dtype} is not implemented")
        integers = x.to(torch.int32)
        if zero_point is not None:
            integers = integers - spread(zero_point, x).to(torch.int32)
        result = integers.to(scale.dtype) * spread(scale, x)
        return result if wanted is None else result.to(wanted)

    return dequantize


class _Spread:
    """Shapes scales and zero points so that they broadcast against the tensor: one, one per slice, or one per block."""

    def __init__(self, node: NodeView) -> None:
        self._axis = node.integer("axis", 1)
        self._block = node.integer("block_size")

    def __call__(self, parameter: Tensor, x: Tensor) -> Tensor:
        if parameter.dim() == 0 or (parameter.numel() == 1 and parameter.dim() == 1 and not self._block):
            return parameter.reshape(())
        axis = self._axis % x.dim()
        if self._block:
            repeated = parameter.repeat_interleave(self._block, dim=axis)
            return repeated.narrow(axis, 0, x.shape[axis])
        return parameter.reshape([-1 if index == axis else 1 for index in range(x.dim())])
