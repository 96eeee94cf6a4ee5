"""Convolutions of few input channels, whose integer kernel wastes most of its multipliers.

The delegate's int8 kernel takes the channels under every tap in groups of 8 and the outputs in groups of 16 (XNNPACK
igemm 16c8), so that a picture with one channel pays for 8. Neighbouring columns are channels of a wider pixel without
moving anything; where rows have to be joined, too, SPACE_TO_DEPTH moves them. The weights only move, zeros join them:
the sums, and so the integers, stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.emission import Emission
from zsq_export.backends.tflite_edge.graph import Element, Tensor
from zsq_export.backends.tflite_edge.ops.windows import Pair, Window, padded_by_rows
from zsq_export.backends.tflite_edge.sizes import fixed

_LANES, _OUTPUTS = 8, 16
_WIDEST = 8
_MOST_CHANNELS = 16
_WORTH = 0.75
"""Share of the multiplications at most, for the trouble."""
_MOST_BYTES = 4096
"""That the weights may grow by."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One spatial axis of a convolution in which ``factor`` neighbours become channels of one.

    Attributes:
        kernel, stride, begin: of the convolution.
        factor: neighbours that become one; a multiple of the stride, or 1.
    """

    kernel: int
    stride: int
    begin: int
    factor: int = 1

    @property
    def outputs(self) -> int:
        """Results that one joined pixel gives."""
        return max(1, self.factor // self.stride)

    @property
    def first(self) -> int:
        """Joined pixel under the first tap, from that of the result; negative: padding."""
        return -self.begin // self.factor

    @property
    def last(self) -> int:
        """Joined pixel under the last tap."""
        reach = (self.outputs - 1) * self.stride - self.begin + self.kernel - 1
        return reach // self.factor

    @property
    def taps(self) -> int:
        """Of the new kernel."""
        return self.last - self.first + 1

    def tap_of(self, result: int, pixel: int, neighbour: int) -> int | None:
        """The old tap that a result has on a neighbour inside of a joined pixel; None: it does not see it."""
        place = (self.first + pixel) * self.factor + neighbour
        found = place - result * self.stride + self.begin
        return found if 0 <= found < self.kernel else None


@dataclass(frozen=True, kw_only=True)
class Join:
    """What becomes of a convolution.

    Attributes:
        rows, columns: the axes. Rows are joined only together with columns, over a picture that has its border.
    """

    rows: Axis
    columns: Axis

    def multiplications(self, channels: int, outputs: int) -> float:
        """Per result, as the kernel rounds them up."""
        inner = _up(self.rows.factor * self.columns.factor * channels, _LANES)
        results = self.columns.outputs
        return self.rows.taps * self.columns.taps * inner * _up(results * outputs, _OUTPUTS) / results

    def weights(self, weights: NDArray[np.int8]) -> NDArray[np.int8]:
        """[out, height, width, in] with the new taps; the results of one joined pixel one after the other."""
        out, _, _, channels = weights.shape
        rows, columns = self.rows, self.columns
        found = np.zeros(
            (columns.outputs, out, rows.taps, columns.taps, rows.factor, columns.factor, channels), dtype=weights.dtype
        )
        for place in np.ndindex(columns.outputs, rows.taps, columns.taps, rows.factor, columns.factor):
            result, tap_y, tap_x, inner_y, inner_x = place
            y, x = rows.tap_of(0, tap_y, inner_y), columns.tap_of(result, tap_x, inner_x)
            if y is not None and x is not None:
                found[result, :, tap_y, tap_x, inner_y, inner_x] = weights[:, y, x]
        joined = rows.factor * columns.factor * channels
        return found.reshape(columns.outputs * out, rows.taps, columns.taps, joined)


def join_of(window: Window, channels: int, outputs: int) -> Join | None:
    """The best way to join pixels; None where none is worth it."""
    plain = Join(rows=_axis(window, 0), columns=_axis(window, 1))
    if window.dilations != (1, 1):
        return None
    found = [*_columns_joined(window, plain, channels), *_blocks_joined(window, plain, channels)]
    limit = _WORTH * plain.multiplications(channels, outputs)
    grown = window.kernel[0] * window.kernel[1] * channels * outputs + _MOST_BYTES
    fitting = [
        join
        for join in found
        if join.multiplications(channels, outputs) <= limit
        and join.weights(np.zeros((outputs, *window.kernel, channels), dtype=np.int8)).size <= grown
    ]
    return min(fitting, key=lambda join: join.multiplications(channels, outputs), default=None)


def _columns_joined(window: Window, plain: Join, channels: int) -> list[Join]:
    """Any whole number of columns, at no cost."""
    joins = []
    for factor in range(window.strides[1], _WIDEST + 1, window.strides[1]):
        columns = replace(plain.columns, factor=factor)
        whole = window.size[1] % factor == 0 and window.size[1] // factor * columns.outputs == window.out[1]
        if factor > 1 and whole and factor * channels <= _MOST_CHANNELS:
            joins.append(replace(plain, columns=columns))
    return joins


def _blocks_joined(window: Window, plain: Join, channels: int) -> list[Join]:
    """Blocks of 2 x 2 with stride 2, for one or two channels: more would cost more to move than they save."""
    if window.strides != (2, 2) or 4 * channels > _LANES:
        return []
    join = Join(rows=replace(plain.rows, factor=2, begin=0), columns=replace(plain.columns, factor=2, begin=0))
    return [join] if min(_block_border(join, window)) >= 0 else []


def _block_border(join: Join, window: Window) -> Pair:
    """What has to be added below and to the right, so that the last window ends with the last block."""
    taps = join.rows.taps, join.columns.taps
    rows, columns = (
        2 * (window.out[axis] - 1 + taps[axis]) - window.size[axis] - window.begin[axis] for axis in range(2)
    )
    return rows, columns


def _axis(window: Window, index: int) -> Axis:
    return Axis(kernel=window.kernel[index], stride=window.strides[index], begin=window.begin[index])


def joined_source(join: Join, window: Window, emission: Emission, tensor: Tensor, source: str) -> tuple[Tensor, Window]:
    """The joined picture and the window over it."""
    if join.rows.factor > 1:
        return _blocks(join, window, emission, tensor, source)
    columns = join.columns
    batch, height, width, channels = tensor.sizes
    sides = height, fixed(width.one // columns.factor)
    joined = emission.reshaped(tensor, (batch, *sides, fixed(channels.one * columns.factor)), source)
    return joined, replace(
        window,
        kernel=(window.kernel[0], columns.taps),
        strides=(window.strides[0], 1),
        begin=(window.begin[0], -columns.first),
        end=(window.end[0], columns.last),
        size=(sides[0].one, sides[1].one),
        out=(window.out[0], sides[1].one),
    )


def _blocks(join: Join, window: Window, emission: Emission, tensor: Tensor, source: str) -> tuple[Tensor, Window]:
    batch, _, _, channels = tensor.sizes
    taps = join.rows.taps, join.columns.taps
    sides = tuple(window.out[axis] - 1 + taps[axis] for axis in range(2))
    whole = padded_by_rows(emission, tensor, window.begin, _block_border(join, window), source)
    joined = Tensor(
        name=emission.name(f"{tensor.name}_blocks"),
        sizes=(batch, fixed(sides[0]), fixed(sides[1]), fixed(4 * channels.one)),
        element=Element.INT8,
        quant=tensor.quant,
    )
    emission.add(source, "SPACE_TO_DEPTH", [whole], [joined], schema.SpaceToDepthOptionsT(blockSize=2))
    return joined, replace(window, kernel=taps, strides=(1, 1), begin=(0, 0), end=(0, 0), size=(sides[0], sides[1]))


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
