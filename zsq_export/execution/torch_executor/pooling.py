"""Local and global pooling in one to three spatial dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zsq_export.execution.torch_executor.dtypes import lowest
from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator, simple
from zsq_export.execution.torch_executor.window import Window, read_window, torch_padding

_MAX: dict[int, Kernel] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Kernel] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_CONV: dict[int, Kernel] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def _spatial(x: Tensor) -> list[int]:
    return list(range(2, x.dim()))


simple("GlobalAveragePool", lambda x: x.mean(_spatial(x), keepdim=True))
simple("GlobalMaxPool", lambda x: x.amax(_spatial(x), keepdim=True))


@operator("GlobalLpPool")
def _global_lp_pool(node: NodeView) -> Kernel:
    order = node.integer("p", 2)
    return lambda x: torch.linalg.vector_norm(x, order, _spatial(x), keepdim=True)


def _pool_window(node: NodeView) -> Window:
    window = read_window(node, node.ints("kernel_shape") or [])
    if not 1 <= len(window.kernel) <= 3:
        raise node.unsupported(f"{len(window.kernel)} spatial dimensions are not implemented")
    return window


def _native_padding(window: Window) -> tuple[int, ...] | None:
    """The padding if PyTorch's own pooling can apply it (symmetric, at most half the kernel)."""
    symmetric = window.symmetric
    if symmetric is None or window.ceil_mode or any(2 * p > k for p, k in zip(symmetric, window.kernel, strict=True)):
        return None
    return symmetric


@operator("MaxPool", outputs=2)
def _max_pool(node: NodeView) -> Kernel:
    window, with_indices = _pool_window(node), node.output_count > 1
    if node.integer("storage_order") and with_indices:
        raise node.unsupported("column-major Indices are not implemented")
    pool, padding = _MAX[len(window.kernel)], _native_padding(window)
    shape = (window.kernel, window.strides)
    if padding is not None and not with_indices:
        return lambda x: _as_float(x, lambda y: pool(y, *shape, padding, window.dilations))

    def max_pool(x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        pads = window.resolve(x.shape[2:])
        extra = window.ceil_extra(x.shape[2:], pads)
        padded = F.pad(x, torch_padding(pads, extra), value=lowest(x.dtype))
        if not with_indices:
            return _as_float(padded, lambda y: pool(y, *shape, 0, window.dilations))
        result, flat = pool(padded.double(), *shape, 0, window.dilations, return_indices=True)
        return result.to(x.dtype), _onnx_indices(flat, padded.shape[2:], x, pads)

    return max_pool


def _as_float(x: Tensor, pool: Kernel) -> Tensor:
    # PyTorch pools floats only; 8-bit integers are exact in float32.
    result: Tensor = pool(x) if x.dtype.is_floating_point else pool(x.float()).to(x.dtype)
    return result


def _onnx_indices(flat: Tensor, padded: Sequence[int], x: Tensor, pads: Sequence[int]) -> Tensor:
    """Indices within one padded plane -> row-major indices into the whole unpadded tensor."""
    coordinates = torch.unravel_index(flat, tuple(padded))
    index = torch.zeros_like(flat)
    for i, coordinate in enumerate(coordinates):
        index = index * x.shape[2 + i] + (coordinate - pads[i])
    planes = torch.arange(x.shape[0] * x.shape[1]).reshape(x.shape[0], x.shape[1], *(1,) * (x.dim() - 2))
    return index + planes.to(flat.device) * math.prod(x.shape[2:])


@operator("AveragePool")
def _average_pool(node: NodeView) -> Kernel:
    window, include = _pool_window(node), bool(node.integer("count_include_pad"))
    padding, dilated = _native_padding(window), any(d != 1 for d in window.dilations)
    pool = _AVERAGE[len(window.kernel)]
    if padding is not None and not dilated:
        return lambda x: pool(x, window.kernel, window.strides, padding, False, include)

    def average_pool(x: Tensor) -> Tensor:
        pads = window.resolve(x.shape[2:])
        extra = window.ceil_extra(x.shape[2:], pads)
        ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        if include:
            # Given pads count as cells of value zero; cells appended by ceil_mode never count.
            counted = F.pad(F.pad(ones, torch_padding(pads), value=1.0), torch_padding((0,) * len(pads), extra))
        else:
            counted = F.pad(ones, torch_padding(pads, extra))
        return _window_sum(F.pad(x, torch_padding(pads, extra)), window) / _window_sum(counted, window)

    return average_pool


def _window_sum(x: Tensor, window: Window) -> Tensor:
    """Sum over each window of an already padded tensor [N, C, ...]."""
    if any(d != 1 for d in window.dilations):
        ones = torch.ones((1, 1, *window.kernel), dtype=x.dtype, device=x.device)
        planes = x.reshape(-1, 1, *x.shape[2:])
        sums: Tensor = _CONV[len(window.kernel)](planes, ones, None, window.strides, 0, window.dilations)
        return sums.reshape(*x.shape[:2], *sums.shape[2:])
    mean: Tensor = _AVERAGE[len(window.kernel)](x, window.kernel, window.strides)
    return mean * math.prod(window.kernel)


@operator("LpPool")
def _lp_pool(node: NodeView) -> Kernel:
    window, order = _pool_window(node), node.integer("p", 2)

    def lp_pool(x: Tensor) -> Tensor:
        pads = window.resolve(x.shape[2:])
        padded = F.pad(x, torch_padding(pads, window.ceil_extra(x.shape[2:], pads)))
        return torch.pow(_window_sum(padded.abs().pow(order), window), 1.0 / order)

    return lp_pool
