"""Operators that change the shape or the layout, and those that compute with shapes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator, simple

simple("Size", lambda x: torch.tensor(x.numel(), dtype=torch.int64))


@operator("Shape")
def _shape(node: NodeView) -> Kernel:
    start = node.integer("start")
    end = node.integer("end", 2**31)
    return lambda x: torch.tensor(x.shape[start:end], dtype=torch.int64)


@operator("Reshape")
def _reshape(node: NodeView) -> Kernel:
    read, allow_zero = node.ints_input(1), bool(node.integer("allowzero"))

    def reshape(x: Tensor, shape_input: Tensor) -> Tensor:
        shape = read(shape_input) or []
        if not allow_zero and 0 in shape:
            shape = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
        return x.reshape(shape)

    return reshape


@operator("Flatten")
def _flatten(node: NodeView) -> Kernel:
    axis = node.integer("axis", 1)

    def flatten(x: Tensor) -> Tensor:
        split = axis + x.dim() if axis < 0 else axis
        return x.reshape(math.prod(x.shape[:split]), math.prod(x.shape[split:]))

    return flatten


@operator("Transpose")
def _transpose(node: NodeView) -> Kernel:
    order = node.ints("perm")
    return lambda x: x.permute(order if order is not None else list(reversed(range(x.dim()))))


@operator("Squeeze")
def _squeeze(node: NodeView) -> Kernel:
    read = node.ints_attribute_or_input("axes", 1)

    def squeeze(x: Tensor, axes_input: Tensor | None = None) -> Tensor:
        axes = read(axes_input)
        if axes is None:
            return x.squeeze()
        if any(x.shape[axis] != 1 for axis in axes):
            raise RuntimeError(f"cannot squeeze axes {axes} of shape {tuple(x.shape)}")
        return x.squeeze(tuple(axes))

    return squeeze


@operator("Unsqueeze")
def _unsqueeze(node: NodeView) -> Kernel:
    read = node.ints_attribute_or_input("axes", 1)

    def unsqueeze(x: Tensor, axes_input: Tensor | None = None) -> Tensor:
        axes = read(axes_input) or []
        rank = x.dim() + len(axes)
        for axis in sorted(axis % rank for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return unsqueeze


@operator("Expand")
def _expand(node: NodeView) -> Kernel:
    read = node.ints_input(1)

    def expand(x: Tensor, shape_input: Tensor) -> Tensor:
        # ONNX broadcasts both ways; torch.expand only stretches x.
        shape: torch.Size = torch.broadcast_shapes(x.shape, tuple(read(shape_input) or []))  # type: ignore[no-untyped-call]
        return x.expand(shape)

    return expand


@operator("Tile")
def _tile(node: NodeView) -> Kernel:
    read = node.ints_input(1)
    return lambda x, repeats: x.repeat(read(repeats) or [])


@operator("Concat")
def _concat(node: NodeView) -> Kernel:
    axis = node.integer("axis")
    return lambda *xs: torch.cat(xs, axis)


@operator("Split", outputs=1000)
def _split(node: NodeView) -> Kernel:
    axis, read, outputs = node.integer("axis"), node.ints_attribute_or_input("split", 1), node.output_count
    node.integer("num_outputs")

    def split(x: Tensor, sizes_input: Tensor | None = None) -> tuple[Tensor, ...]:
        sizes = read(sizes_input)
        if sizes is None:
            chunk = math.ceil(x.shape[axis] / outputs)
            sizes = [max(min(chunk, x.shape[axis] - i * chunk), 0) for i in range(outputs)]
        return torch.split(x, sizes, axis)

    return split


@operator("DepthToSpace")
def _depth_to_space(node: NodeView) -> Kernel:
    block, mode = node.integer("blocksize"), node.choice("mode", "DCR", ("DCR", "CRD"))

    def depth_to_space(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if mode == "CRD":
            return F.pixel_shuffle(x, block)
        blocks = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return blocks.reshape(n, c // block**2, h * block, w * block)

    return depth_to_space


@operator("SpaceToDepth")
def _space_to_depth(node: NodeView) -> Kernel:
    block = node.integer("blocksize")

    mode = node.choice("mode", "DCR", ("DCR", "CRD"))

    def space_to_depth(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if mode == "CRD":
            return F.pixel_unshuffle(x, block)
        blocks = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
        return blocks.reshape(n, c * block**2, h // block, w // block)

    return space_to_depth
