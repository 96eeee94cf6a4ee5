"""Sizes and paddings of sliding windows, shared by convolution and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zsq_export.execution.torch_executor.registry import NodeView

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True, kw_only=True)
class Window:
    """The sliding window of a node.

    Attributes:
        kernel, strides, dilations: one entry per spatial axis.
        pads: all begins, then all ends; None where ``auto_pad`` computes them from the input size.
        same_upper: with ``pads`` None: whether the odd cell goes to the end.
        ceil_mode: round the output size up instead of down.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...] | None
    same_upper: bool = True
    ceil_mode: bool = False

    @property
    def extents(self) -> tuple[int, ...]:
        """Cells spanned by the dilated kernel."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def symmetric(self) -> tuple[int, ...] | None:
        """The padding per axis if begin and end are equal and known beforehand, else None."""
        if self.pads is None:
            return None
        rank = len(self.kernel)
        begins, ends = self.pads[:rank], self.pads[rank:]
        return begins if begins == ends and min(begins, default=0) >= 0 else None

    def resolve(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Pads for an input of the given spatial sizes, begins then ends (ONNX SAME_UPPER / SAME_LOWER)."""
        if self.pads is not None:
            return self.pads
        totals = [
            max((math.ceil(size / stride) - 1) * stride + extent - size, 0)
            for size, stride, extent in zip(sizes, self.strides, self.extents, strict=True)
        ]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        return tuple(small + large) if self.same_upper else tuple(large + small)

    def ceil_extra(self, sizes: Sequence[int], pads: Sequence[int]) -> tuple[int, ...]:
        """Cells to append per axis so that rounding down gives the rounded-up output size.

        A window that would start in the end padding is left out, as ONNX and PyTorch do.
        """
        if not self.ceil_mode:
            return (0,) * len(sizes)
        rank, extra = len(sizes), []
        for i, (size, stride, extent) in enumerate(zip(sizes, self.strides, self.extents, strict=True)):
            padded = size + pads[i] + pads[rank + i]
            count = math.ceil((padded - extent) / stride) + 1
            if (count - 1) * stride >= size + pads[i]:
                count -= 1
            extra.append(max((count - 1) * stride + extent - padded, 0))
        return tuple(extra)


def torch_padding(pads: Sequence[int], extra: Sequence[int] | None = None) -> list[int]:
    """ONNX pads (begins, ends) as ``torch.nn.functional.pad`` wants them: last axis first, (begin, end) pairs."""
    rank = len(pads) // 2
    more = extra if extra is not None else (0,) * rank
    return [cells for i in reversed(range(rank)) for cells in (pads[i], pads[rank + i] + more[i])]


def read_window(node: NodeView, kernel: Sequence[int]) -> Window:
    """Reads strides, dilations, pads, auto_pad and ceil_mode of a node.

    Raises:
        UnsupportedOpError: an unknown auto_pad.
    """
    rank = len(kernel)
    auto_pad = node.choice("auto_pad", "NOTSET", AUTO_PADS)
    given = node.ints("pads")
    pads = tuple(given) if given is not None and auto_pad == "NOTSET" else (0,) * (2 * rank)
    return Window(
        kernel=tuple(kernel),
        strides=tuple(node.ints("strides") or (1,) * rank),
        dilations=tuple(node.ints("dilations") or (1,) * rank),
        pads=None if auto_pad.startswith("SAME") else pads,
        same_upper=auto_pad == "SAME_UPPER",
        ceil_mode=bool(node.integer("ceil_mode")),
    )
