"""Conv and ConvTranspose in one to three spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator
from zsq_export.execution.torch_executor.window import Window, read_window, torch_padding

_CONV: dict[int, Kernel] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Kernel] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def _bound_for_weight(node: NodeView, make: Callable[[NodeView, list[int]], Kernel]) -> Kernel:
    """The kernel of a convolution, made now if the weight's spatial shape is known, else at the first call."""
    attribute, weight = node.ints("kernel_shape"), node.constant(1)
    shape = list(weight.shape[2:]) if weight is not None else attribute
    if shape is not None:
        return make(node, shape)
    make(node, [1, 1])  # so that attributes are checked now
    made: dict[tuple[int, ...], Kernel] = {}

    def convolve(x: Tensor, computed: Tensor, bias: Tensor | None = None) -> Tensor:
        key = tuple(computed.shape[2:])
        if key not in made:
            made[key] = make(node, list(key))
        result: Tensor = made[key](x, computed, bias)
        return result

    return convolve


def _checked_rank(node: NodeView, kernel_shape: list[int]) -> int:
    if not 1 <= len(kernel_shape) <= 3:
        raise node.unsupported(f"{len(kernel_shape)} spatial dimensions are not implemented")
    return len(kernel_shape)


@operator("Conv")
def _conv(node: NodeView) -> Kernel:
    return _bound_for_weight(node, _make_conv)


def _make_conv(node: NodeView, kernel_shape: list[int]) -> Kernel:
    convolve = _CONV[_checked_rank(node, kernel_shape)]
    window, group = read_window(node, kernel_shape), node.integer("group", 1)
    strides, dilations, symmetric = window.strides, window.dilations, window.symmetric
    if symmetric is not None:
        return lambda x, w, b=None: convolve(x, w, b, strides, symmetric, dilations, group)

    def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        padded = F.pad(x, torch_padding(window.resolve(x.shape[2:])))
        result: Tensor = convolve(padded, weight, bias, strides, 0, dilations, group)
        return result

    return conv


@operator("ConvTranspose")
def _conv_transpose(node: NodeView) -> Kernel:
    return _bound_for_weight(node, _make_conv_transpose)


def _make_conv_transpose(node: NodeView, kernel_shape: list[int]) -> Kernel:
    rank = _checked_rank(node, kernel_shape)
    window, group, transpose = read_window(node, kernel_shape), node.integer("group", 1), _TRANSPOSED[rank]
    output_shape, output_padding = node.ints("output_shape"), node.ints("output_padding") or [0] * rank

    def conv_transpose(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        # The uncut result first: cutting afterwards covers asymmetric pads and output_shape alike.
        full: Tensor = transpose(x, weight, bias, window.strides, 0, 0, group, window.dilations)
        sizes = [size + extra for size, extra in zip(full.shape[2:], output_padding, strict=True)]
        cut = _cells_to_cut(window, output_shape, sizes, list(x.shape[2:]))
        ends = [c - extra for c, extra in zip(cut[rank:], output_padding, strict=True)]
        return _cut_or_extend(full, cut[:rank], ends, bias)

    return conv_transpose


def _cells_to_cut(window: Window, output_shape: list[int] | None, full: list[int], sizes: list[int]) -> list[int]:
    """Cells to cut from the full result, begins then ends (ONNX ConvTranspose: output_shape, auto_pad, pads)."""
    rank = len(full)
    if output_shape is not None:
        targets = output_shape[-rank:]
    elif window.pads is None:
        targets = [size * stride for size, stride in zip(sizes, window.strides, strict=True)]
    else:
        return list(window.pads)
    totals = [f - t for f, t in zip(full, targets, strict=True)]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return small + large if window.same_upper else large + small


def _cut_or_extend(full: Tensor, begins: list[int], ends: list[int], bias: Tensor | None) -> Tensor:
    """Cuts cells (positive) from, or appends cells (negative) to, each end; appended cells hold the bias."""
    if not any(begins) and not any(ends):
        return full
    negative = [-cells for cells in (*begins, *ends)]
    if bias is None or max(negative) <= 0:
        return F.pad(full, torch_padding(negative))
    shape = (1, -1, *(1,) * len(begins))
    return F.pad(full - bias.reshape(shape), torch_padding(negative)) + bias.reshape(shape)
