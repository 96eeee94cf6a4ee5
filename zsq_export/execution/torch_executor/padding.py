"""The Pad operator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator
from zsq_export.execution.torch_executor.window import torch_padding

_NUMPY_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


@operator("Pad")
def _pad(node: NodeView) -> Kernel:
    mode = node.choice("mode", "constant", ("constant", *_NUMPY_MODES))
    read_pads, read_axes, fill = node.ints_input(1), node.ints_input(3), node.constant(2)
    fixed = fill.item() if fill is not None and fill.numel() else None

    def pad(x: Tensor, pads_input: Tensor, value: Tensor | None = None, axes_input: Tensor | None = None) -> Tensor:
        pads = _full_pads(read_pads(pads_input) or [], read_axes(axes_input), x.dim())
        if not any(pads):
            return x
        if mode != "constant":
            return _pad_by_index(x, pads, mode)
        amount = fixed if fixed is not None else (value.item() if value is not None and value.numel() else 0)
        return _pad_constant(x, pads, amount)

    return pad


def _full_pads(pads: list[int], axes: list[int] | None, rank: int) -> list[int]:
    """Begins and ends of all axes from those of the named ones."""
    if axes is None:
        return pads
    full = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        full[axis % rank], full[rank + axis % rank] = pads[i], pads[len(axes) + i]
    return full


def _pad_constant(x: Tensor, pads: Sequence[int], value: float) -> Tensor:
    # Leading axes without padding are left out: PyTorch keeps channels_last only then.
    rank = x.dim()
    first = next(i for i in range(rank) if pads[i] or pads[rank + i])
    kept = [*pads[first:rank], *pads[rank + first :]]
    return F.pad(x, torch_padding(kept), value=value)


def _pad_by_index(x: Tensor, pads: Sequence[int], mode: str) -> Tensor:
    """Reflect, edge and wrap, axis by axis; the index of each output cell comes from numpy's pad of a ramp."""
    rank = x.dim()
    for axis in range(rank):
        begin, end = pads[axis], pads[rank + axis]
        if not begin and not end:
            continue
        ramp = np.arange(x.shape[axis])[max(-begin, 0) : x.shape[axis] - max(-end, 0)]
        index = np.pad(ramp, (max(begin, 0), max(end, 0)), mode=_NUMPY_MODES[mode])  # type: ignore[call-overload]
        x = x.index_select(axis, torch.from_numpy(index).to(x.device))
    return x
