"""ONNX element types <-> torch dtypes, and tensors from ONNX constants."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

TORCH_DTYPES: dict[ir.DataType, torch.dtype] = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.INT8: torch.int8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT64: torch.int64,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.BOOL: torch.bool,
}
"""The element types the executor computes with. Others raise UnsupportedOpError."""


def to_torch(value: ir.TensorProtocol) -> Tensor:
    """Copies an ONNX constant into a torch tensor of the same shape on the CPU.

    Raises:
        KeyError: the element type is not in ``TORCH_DTYPES``.
    """
    dtype = TORCH_DTYPES[value.dtype]
    array = value.numpy()
    if dtype is torch.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).to(dtype)
    return torch.from_numpy(np.array(array, order="C"))


def lowest(dtype: torch.dtype) -> float | int:
    """The smallest value of a dtype (−inf for floats)."""
    return float("-inf") if dtype.is_floating_point else torch.iinfo(dtype).min
