"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zsq_export.execution.torch_executor.dtypes import lowest
from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _extreme(function: Callable[..., Tensor], sign: int) -> Reduction:
    def reduce(x: Tensor, dims: list[int], keep: bool) -> Tensor:
        if x.numel() == 0:
            return _empty_extreme(x, dims, keep, sign)
        return function(x, dims, keep)

    return reduce


def _empty_extreme(x: Tensor, dims: list[int], keep: bool, sign: int) -> Tensor:
    """The neutral element: ONNX gives −inf (or the type's smallest) for the maximum of nothing."""
    shape = x.sum(dims, keepdim=keep).shape
    if x.dtype is torch.bool:
        return torch.full(shape, sign < 0, dtype=x.dtype, device=x.device)
    neutral = lowest(x.dtype) if sign > 0 else _highest(x.dtype)
    return torch.full(shape, neutral, dtype=x.dtype, device=x.device)


def _highest(dtype: torch.dtype) -> float | int:
    return float("inf") if dtype.is_floating_point else torch.iinfo(dtype).max


def _prod(x: Tensor, dims: list[int], keep: bool) -> Tensor:
    for dim in sorted((d % x.dim() for d in dims), reverse=True):
        x = torch.prod(x, dim, keepdim=keep, dtype=x.dtype)
    return x


def _sum(x: Tensor, dims: list[int], keep: bool) -> Tensor:
    return torch.sum(x, dims, keepdim=keep, dtype=x.dtype)


def _mean(x: Tensor, dims: list[int], keep: bool) -> Tensor:
    if x.dtype.is_floating_point:
        return torch.mean(x, dims, keepdim=keep)
    return torch.mean(x.double(), dims, keepdim=keep).to(x.dtype)


def _log_sum_exp(x: Tensor, dims: list[int], keep: bool) -> Tensor:
    return torch.logsumexp(x, dims, keepdim=keep).to(x.dtype)


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceL1": lambda x, dims, keep: _sum(x.abs(), dims, keep),
    "ReduceL2": lambda x, dims, keep: _sum(x.square(), dims, keep).sqrt().to(x.dtype),
    "ReduceLogSum": lambda x, dims, keep: _sum(x, dims, keep).log().to(x.dtype),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _extreme(torch.amax, 1),
    "ReduceMean": _mean,
    "ReduceMin": _extreme(torch.amin, -1),
    "ReduceProd": _prod,
    "ReduceSum": _sum,
    "ReduceSumSquare": lambda x, dims, keep: _sum(x.square(), dims, keep),
}


@operator(*_REDUCTIONS)
def _reduce(node: NodeView) -> Kernel:
    keep, noop = bool(node.integer("keepdims", 1)), bool(node.integer("noop_with_empty_axes"))
    read_axes = node.ints_attribute_or_input("axes", 1)
    function = _REDUCTIONS[node.op_type]

    def reduce(x: Tensor, axes: Tensor | None = None) -> Tensor:
        dims = read_axes(axes)
        if not dims:
            # With an empty list of axes only the elementwise part of the reduction remains.
            return function(x.unsqueeze(0), [0], False) if noop else function(x, list(range(x.dim())), keep)
        return function(x, dims, keep)

    return reduce


@operator("ArgMax", "ArgMin")
def _arg_extreme(node: NodeView) -> Kernel:
    axis, keep, last = node.integer("axis"), bool(node.integer("keepdims", 1)), bool(node.integer("select_last_index"))
    find = torch.argmax if node.op_type == "ArgMax" else torch.argmin

    def arg_extreme(x: Tensor) -> Tensor:
        if not last:
            return find(x, axis, keepdim=keep)
        return x.shape[axis] - 1 - find(x.flip(axis), axis, keepdim=keep)

    return arg_extreme


@operator("CumSum")
def _cumsum(node: NodeView) -> Kernel:
    exclusive, reverse = bool(node.integer("exclusive")), bool(node.integer("reverse"))
    read_axis = node.ints_input(1)

    def cumsum(x: Tensor, axis_input: Tensor) -> Tensor:
        (axis,) = read_axis(axis_input) or [0]
        ordered = x.flip(axis) if reverse else x
        sums = torch.cumsum(ordered, axis, dtype=x.dtype)
        sums = sums - ordered if exclusive else sums
        return sums.flip(axis) if reverse else sums

    return cumsum
