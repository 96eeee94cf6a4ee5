"""Operators that pick elements: slices, gathers, scatters, sorting."""

from __future__ import annotations

import torch
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator, simple


@operator("Slice")
def _slice(node: NodeView) -> Kernel:
    readers = [node.ints_input(i) for i in (1, 2, 3, 4)]

    def slice_(x: Tensor, *inputs: Tensor | None) -> Tensor:
        padded = (*inputs, None, None)
        starts, ends, axes, steps = (read(value) for read, value in zip(readers, padded, strict=False))
        starts, ends = starts or [], ends or []
        axes = axes if axes is not None else list(range(len(starts)))
        steps = steps if steps is not None else [1] * len(starts)
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            x = _slice_axis(x, axis, slice(start, end, step))
        return x

    return slice_


def _slice_axis(x: Tensor, axis: int, part: slice) -> Tensor:
    # Python's slice clamps out-of-range bounds as ONNX does, but for a start before 0 of a walk backwards.
    size = x.shape[axis]
    start, stop, step = slice(max(part.start, -size), part.stop, part.step).indices(size)
    if step < 0:
        return x.index_select(axis, torch.tensor(range(start, stop, step), dtype=torch.int64, device=x.device))
    return torch.ops.aten.slice.Tensor(x, axis, start, max(start, stop), step)  # type: ignore[no-any-return]


def _positive(indices: Tensor, size: int) -> Tensor:
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)


@operator("Gather")
def _gather(node: NodeView) -> Kernel:
    axis, constant = node.integer("axis"), node.constant(1)
    if constant is not None and constant.dim() == 0:
        position = int(constant)
        return lambda x, _indices: x.select(axis, position)

    def gather(x: Tensor, indices: Tensor) -> Tensor:
        place = axis % x.dim()
        flat = _positive(indices, x.shape[place]).reshape(-1)
        return x.index_select(place, flat).reshape(*x.shape[:place], *indices.shape, *x.shape[place + 1 :])

    return gather


@operator("GatherElements")
def _gather_elements(node: NodeView) -> Kernel:
    axis = node.integer("axis")
    return lambda x, indices: torch.gather(x, axis, _positive(indices, x.shape[axis]))


@operator("GatherND")
def _gather_nd(node: NodeView) -> Kernel:
    batch = node.integer("batch_dims")

    def gather_nd(x: Tensor, indices: Tensor) -> Tensor:
        depth = indices.shape[-1]
        parts = [_positive(indices[..., i], x.shape[batch + i]) for i in range(depth)]
        if not parts:
            return x.expand(*indices.shape[:-1], *x.shape[batch:])
        leading = []
        for axis in range(batch):
            shape = [1] * (indices.dim() - 1)
            shape[axis] = x.shape[axis]
            leading.append(torch.arange(x.shape[axis], device=x.device).reshape(shape))
        return x[(*leading, *parts)]

    return gather_nd


@operator("ScatterElements")
def _scatter_elements(node: NodeView) -> Kernel:
    axis, reduction = node.integer("axis"), node.choice("reduction", "none", ("none", "add", "mul", "max", "min"))
    modes = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}

    def scatter(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        index = _positive(indices, x.shape[axis])
        if reduction == "none":
            return x.scatter(axis, index, updates)
        return x.scatter_reduce(axis, index, updates, modes[reduction])

    return scatter


@operator("ScatterND")
def _scatter_nd(node: NodeView) -> Kernel:
    reduction = node.choice("reduction", "none", ("none", "add"))

    def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        parts = tuple(_positive(indices[..., i], x.shape[i]) for i in range(indices.shape[-1]))
        return x.index_put(parts, updates, accumulate=reduction == "add")

    return scatter_nd


@operator("TopK", outputs=2)
def _top_k(node: NodeView) -> Kernel:
    axis, largest, read = node.integer("axis", -1), bool(node.integer("largest", 1)), node.ints_input(1)
    node.integer("sorted", 1)

    def top_k(x: Tensor, count_input: Tensor) -> tuple[Tensor, Tensor]:
        (count,) = read(count_input) or [0]
        # A stable sort, because ONNX gives ties to the lower index and torch.topk promises nothing.
        values, indices = torch.sort(x, dim=axis, descending=largest, stable=True)
        return values.narrow(axis, 0, count), indices.narrow(axis, 0, count)

    return top_k


@operator("Trilu")
def _trilu(node: NodeView) -> Kernel:
    function, read = torch.triu if node.integer("upper", 1) else torch.tril, node.ints_input(1)
    return lambda x, k=None: function(x, (read(k) or [0])[0])


@operator("OneHot")
def _one_hot(node: NodeView) -> Kernel:
    axis, read_depth = node.integer("axis", -1), node.ints_input(1)

    def one_hot(indices: Tensor, depth_input: Tensor, values: Tensor) -> Tensor:
        depth = int((read_depth(depth_input) or [0])[0])
        place = axis % (indices.dim() + 1)
        positions = torch.arange(depth, device=indices.device)
        index = indices.to(torch.int64)
        inside = torch.where((index < 0) & (index >= -depth), index + depth, index)
        hot = (inside.unsqueeze(-1) == positions).movedim(-1, place)
        return torch.where(hot, values[1], values[0])

    return one_hot


simple("NonZero", lambda x: torch.nonzero(x).t())
