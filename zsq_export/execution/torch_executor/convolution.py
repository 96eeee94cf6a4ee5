"""Conv and ConvTranspose in one to three spatial dimensions."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator
from zsq_export.execution.torch_executor.window import Window, read_window, torch_padding

_CONV: dict[int, Kernel] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Kernel] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def _kernel_shape(node: NodeView) -> list[int]:
    """The kernel's spatial shape, from the attribute or the constant weight."""
    attribute, weight = node.ints("kernel_shape"), node.constant(1)
    shape = list(weight.shape[2:]) if weight is not None else attribute
    if shape is None:
        raise node.unsupported("a computed weight without kernel_shape is not implemented")
    if not 1 <= len(shape) <= 3:
        raise node.unsupported(f"{len(shape)} spatial dimensions are not implemented")
    return shape


@operator("Conv")
def _conv(node: NodeView) -> Kernel:
    window, group = read_window(node, _kernel_shape(node)), node.int("group", 1)
    convolve = _CONV[len(window.kernel)]
    strides, dilations, symmetric = window.strides, window.dilations, window.symmetric
    if symmetric is not None:
        return lambda x, w, b=None: convolve(x, w, b, strides, symmetric, dilations, group)

    def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        padded = F.pad(x, torch_padding(window.resolve(x.shape[2:])))
        result: Tensor = convolve(padded, weight, bias, strides, 0, dilations, group)
        return result

    return conv


def _transposed_pads(window: Window, node_output: list[int] | None, full: list[int]) -> list[int]:
    """Cells to cut from the full transposed convolution: begins, then ends (ONNX ConvTranspose)."""
    rank = len(full)
    if node_output is not None:
        targets = node_output[-rank:]
    elif window.pads is None:
        # auto_pad SAME: the output is input * stride; ``full`` was made from the same input.
        targets = [f - max(e - s, 0) for f, e, s in zip(full, window.extents, window.strides, strict=True)]
    else:
        return list(window.pads)
    totals = [f - t for f, t in zip(full, targets, strict=True)]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return small + large if window.same_upper or (window.pads is None and window.same_upper) else large + small


@operator("ConvTranspose")
def _conv_transpose(node: NodeView) -> Kernel:
    window, group = read_window(node, _kernel_shape(node)), node.int("group", 1)
    rank = len(window.kernel)
    output_shape, output_padding = node.ints("output_shape"), node.ints("output_padding") or [0] * rank
    transpose = _TRANSPOSED[rank]

    def conv_transpose(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        # The uncut result first: cutting afterwards covers asymmetric pads and output_shape alike.
        full: Tensor = transpose(x, weight, bias, window.strides, 0, 0, group, window.dilations)
        sizes = [size + extra for size, extra in zip(full.shape[2:], output_padding, strict=True)]
        cut = _transposed_pads(window, output_shape, sizes)
        ends = [c - extra for c, extra in zip(cut[rank:], output_padding, strict=True)]
        return _cut_or_extend(full, cut[:rank], ends, bias)

    return conv_transpose


def _cut_or_extend(full: Tensor, begins: list[int], ends: list[int], bias: Tensor | None) -> Tensor:
    """Cuts cells (positive) from, or appends cells (negative) to, each end; appended cells hold the bias."""
    if not any(begins) and not any(ends):
        return full
    negative = [-cells for cells in (*begins, *ends)]
    if bias is None or max(negative) <= 0:
        return F.pad(full, torch_padding(negative))
    shape = (1, -1, *(1,) * len(begins))
    return F.pad(full - bias.reshape(shape), torch_padding(negative)) + bias.reshape(shape)
