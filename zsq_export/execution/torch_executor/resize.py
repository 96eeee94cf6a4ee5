"""The Resize operator: nearest, linear and cubic, as one interpolation matrix per axis.

Formulas: ONNX specification of Resize (coordinate transformations) and R. Keys, "Cubic convolution interpolation for
digital image processing", 1981, for the cubic kernel with coefficient a.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AxisResize:
    """How one axis is resized.

    Attributes:
        size, target: cells before and after.
        scale: target / size as the node states it (may be fractional).
        start, end: region of interest in units of the axis, for ``tf_crop_and_resize``.
    """

    size: int
    target: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def _pytorch_half_pixel(x: Floats, a: AxisResize) -> Floats:
    return (x + 0.5) / a.scale - 0.5 if a.target > 1 else np.zeros_like(x)


def _align_corners(x: Floats, a: AxisResize) -> Floats:
    length = a.size * a.scale
    return x * (a.size - 1) / (length - 1) if length != 1 else np.zeros_like(x)


def _half_pixel_symmetric(x: Floats, a: AxisResize) -> Floats:
    adjustment = a.target / (a.scale * a.size)
    return a.size / 2 * (1 - adjustment) + (x + 0.5) / a.scale - 0.5


def _crop_and_resize(x: Floats, a: AxisResize) -> Floats:
    if a.target <= 1:
        return np.full_like(x, 0.5 * (a.start + a.end) * (a.size - 1))
    return a.start * (a.size - 1) + x * (a.end - a.start) * (a.size - 1) / (a.target - 1)


_COORDINATES: dict[str, Callable[[Floats, AxisResize], Floats]] = {
    "half_pixel": lambda x, a: (x + 0.5) / a.scale - 0.5,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda x, a: x / a.scale,
    "tf_crop_and_resize": _crop_and_resize,
}

_NEAREST: dict[str, Callable[[Floats], Floats]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _triangle(distance: Floats, _a: float) -> Floats:
    weights: Floats = np.maximum(1 - np.abs(distance), 0)
    return weights


def _keys(distance: Floats, a: float) -> Floats:
    d = np.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@dataclass(frozen=True, kw_only=True)
class ResizeMode:
    """The attributes of Resize that decide the weights."""

    mode: str
    coordinates: str
    nearest: str
    cubic: float
    exclude_outside: bool
    antialias: bool
    extrapolation: float

    def positions(self, axis: AxisResize) -> Floats:
        """Source coordinate of each target cell."""
        positions: Floats = _COORDINATES[self.coordinates](np.arange(axis.target, dtype=np.float64), axis)
        return positions

    def outside(self, axis: AxisResize) -> NDArray[np.bool_] | None:
        """Which target cells lie outside the source and take the extrapolation value."""
        if self.coordinates != "tf_crop_and_resize":
            return None
        x = self.positions(axis)
        mask: NDArray[np.bool_] = (x < 0) | (x > axis.size - 1)
        return mask if mask.any() else None

    def nearest_cells(self, axis: AxisResize) -> NDArray[np.int64]:
        """Source cell of each target cell."""
        return np.clip(_NEAREST[self.nearest](self.positions(axis)), 0, axis.size - 1).astype(np.int64)

    def matrix(self, axis: AxisResize) -> Floats:
        """Weights [target, size]; cells beyond the border count for the border cell unless excluded."""
        kernel, reach = (_triangle, 1.0) if self.mode == "linear" else (_keys, 2.0)
        stretch = min(axis.scale, 1.0) if self.antialias else 1.0
        x = self.positions(axis)
        width = math.ceil(reach / stretch) + 1
        cells = np.floor(x)[:, None] + np.arange(-width, width + 1)
        weights = kernel((cells - x[:, None]) * stretch, self.cubic)
        if self.exclude_outside:
            weights = np.where((cells >= 0) & (cells < axis.size), weights, 0.0)
        if self.exclude_outside or self.antialias:
            weights = weights / weights.sum(1, keepdims=True)
        result = np.zeros((axis.target, axis.size))
        rows = np.broadcast_to(np.arange(axis.target)[:, None], cells.shape)
        np.add.at(result, (rows, np.clip(cells, 0, axis.size - 1).astype(np.int64)), weights)
        return result


def _read_mode(node: NodeView) -> ResizeMode:
    return ResizeMode(
        mode=node.choice("mode", "nearest", ("nearest", "linear", "cubic")),
        coordinates=node.choice("coordinate_transformation_mode", "half_pixel", tuple(_COORDINATES)),
        nearest=node.choice("nearest_mode", "round_prefer_floor", tuple(_NEAREST)),
        cubic=node.real("cubic_coeff_a", -0.75),
        exclude_outside=bool(node.integer("exclude_outside")),
        antialias=bool(node.integer("antialias")),
        extrapolation=node.real("extrapolation_value"),
    )


def _apply(x: Tensor, index: int, axis: AxisResize, mode: ResizeMode) -> Tensor:
    """Resizes one axis of x."""
    if mode.mode == "nearest":
        x = x.index_select(index, torch.from_numpy(mode.nearest_cells(axis)).to(x.device))
    else:
        matrix = torch.from_numpy(mode.matrix(axis)).to(x)
        x = (x.movedim(index, -1) @ matrix.t()).movedim(-1, index)
    outside = mode.outside(axis)
    if outside is None:
        return x
    mask = torch.from_numpy(outside).to(x.device).reshape([-1 if i == index else 1 for i in range(x.dim())])
    return torch.where(mask, torch.full((), mode.extrapolation, dtype=x.dtype, device=x.device), x)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the node says of the result: the axes it names, and scales or sizes for them."""

    axes: list[int] | None
    policy: str
    scales: list[float] | None
    sizes: list[int] | None
    region: list[float] | None

    def resolve(self, shape: torch.Size) -> dict[int, AxisResize]:
        """The resize of each named axis of a tensor of that shape."""
        axes = [a % len(shape) for a in self.axes] if self.axes is not None else list(range(len(shape)))
        if self.sizes:
            scales, targets = self._from_sizes([shape[a] for a in axes], self.sizes)
        else:
            scales = self.scales or [1.0] * len(axes)
            # In float32, as the scales are stored: 10 * 0.7 must be 7.
            targets = [math.floor(np.float32(s) * np.float32(shape[a])) for a, s in zip(axes, scales, strict=True)]
        region = self.region or [0.0] * len(axes) + [1.0] * len(axes)
        return {
            a: AxisResize(size=shape[a], target=t, scale=s, start=region[i], end=region[len(axes) + i])
            for i, (a, s, t) in enumerate(zip(axes, scales, targets, strict=True))
        }

    def _from_sizes(self, old: list[int], sizes: list[int]) -> tuple[list[float], list[int]]:
        scales = [new / size for new, size in zip(sizes, old, strict=True)]
        if self.policy == "stretch":
            return scales, sizes
        scale = min(scales) if self.policy == "not_larger" else max(scales)
        return [scale] * len(old), [math.floor(scale * size + 0.5) for size in old]


@operator("Resize")
def _resize(node: NodeView) -> Kernel:
    mode, axes = _read_mode(node), node.ints("axes")
    policy = node.choice("keep_aspect_ratio_policy", "stretch", ("stretch", "not_larger", "not_smaller"))

    def resize(
        x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None
    ) -> Tensor:
        region, factors, shape = (None if t is None or not t.numel() else t.tolist() for t in (roi, scales, sizes))
        target = Target(axes=axes, policy=policy, scales=factors, sizes=shape, region=region)
        for index, axis in target.resolve(x.shape).items():
            if axis.size != axis.target or axis.scale != 1.0 or mode.coordinates == "tf_crop_and_resize":
                x = _apply(x, index, axis, mode)
        return x

    return resize
