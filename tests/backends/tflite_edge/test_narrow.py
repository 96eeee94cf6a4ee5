"""Joining pixels of pictures with few channels: when, and what the weights become."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from zsq_export.backends.tflite_edge.ops.narrow import join_of
from zsq_export.backends.tflite_edge.ops.windows import Window


def _window(kernel: int, stride: int, side: int = 32, dilation: int = 1) -> Window:
    begin = kernel // 2
    return Window(
        kernel=(kernel, kernel),
        strides=(stride, stride),
        dilations=(dilation, dilation),
        begin=(begin, begin),
        end=(begin, begin),
        size=(side, side),
        out=(side // stride, side // stride),
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "channels", "outputs", "expected"),
    [
        (5, 1, 1, 64, (1, 2)),
        (3, 2, 3, 32, (1, 2)),
        (5, 2, 1, 64, (2, 2)),
        (3, 1, 3, 16, None),
        (3, 2, 16, 32, None),
        (1, 1, 3, 16, None),
    ],
)
def test_when_it_is_worth_it(
    kernel: int, stride: int, channels: int, outputs: int, expected: tuple[int, int] | None
) -> None:
    join = join_of(_window(kernel, stride), channels, outputs)
    assert (join and (join.rows.factor, join.columns.factor)) == expected


def test_not_where_columns_are_left_over_or_taps_apart() -> None:
    assert join_of(_window(3, 2, side=33), 3, 32) is None
    assert join_of(_window(3, 1, dilation=2), 1, 16) is None


def test_every_weight_is_kept_once_per_result() -> None:
    join = join_of(_window(5, 1), 1, 16)
    assert join is not None and join.columns.outputs == 2
    weights = np.arange(1, 16 * 25 + 1).reshape(16, 5, 5, 1).astype(np.int64)
    moved = join.weights(weights)  # type: ignore[arg-type]
    assert moved.shape == (32, 5, 3, 2)
    for result in range(2):
        part = moved[16 * result : 16 * (result + 1)]
        assert np.array_equal(np.sort(part[part > 0]), np.arange(1, 16 * 25 + 1))
