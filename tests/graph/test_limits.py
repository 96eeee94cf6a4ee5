"""What Relu and Clip limit to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_graphs import model, node

from zsq_export.graph.limits import UNLIMITED, Interval, clip_interval, composed, known_limits
from zsq_export.graph.topology import node_by_name

_LIMIT = st.floats(-8, 8) | st.sampled_from([-math.inf, math.inf])
_INTERVALS = st.tuples(_LIMIT, _LIMIT).map(lambda pair: (min(pair), pair[1]))


@given(first=_INTERVALS, second=_INTERVALS, value=st.floats(-10, 10))
def test_two_limits_are_one(first: Interval, second: Interval, value: float) -> None:
    def clipped(number: float, limits: Interval) -> float:
        return min(max(number, limits[0]), limits[1])

    assert clipped(value, composed(first, second)) == clipped(clipped(value, first), second)


@pytest.mark.parametrize(
    ("inputs", "interval", "known"),
    [
        (["x"], UNLIMITED, UNLIMITED),
        (["x", "zero"], (0.0, math.inf), (0.0, math.inf)),
        (["x", "", "six"], (-math.inf, 6.0), (-math.inf, 6.0)),
        (["x", "six", "zero"], (0.0, 0.0), (6.0, 0.0)),
        (["x", "computed", "six"], None, (-math.inf, 6.0)),
    ],
)
def test_limits_of_a_clip(inputs: list[str], interval: Interval | None, known: Interval) -> None:
    limits = {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
    graph = model(
        [
            node("ReduceMax", ["x"], "computed", keepdims=0),
            node("Clip", inputs, "c"),
            node("Add", ["c", "computed"], "y"),
        ],
        limits,
    )
    clip = next(item for item in node_by_name(graph).values() if item.op_type == "Clip")
    assert clip_interval(clip) == interval and known_limits(clip) == known
