"""Batches: fixed and free batch dimensions, short last batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsq_export.errors import DataError, ModelError
from zsq_export.execution.batching import run_in_batches


class Doubler:
    """Doubles its input; remembers the batch sizes; refuses more than ``most`` samples."""

    def __init__(self, batch: int | str | None, most: int = 1000) -> None:
        self.input_shapes: Mapping[str, tuple[int | str | None, ...]] = {"x": (batch, 2)}
        self.sizes: list[int] = []
        self.most = most

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if len(feeds["x"]) > self.most:
            raise ModelError("too many")
        self.sizes.append(len(feeds["x"]))
        return {"y": feeds["x"] * 2, "table": np.zeros(3)}


def _inputs(samples: int) -> NDArray[np.float32]:
    return np.arange(samples * 2, dtype=np.float32).reshape(samples, 2)


@given(samples=st.integers(1, 20), batch_size=st.integers(1, 9), fixed=st.one_of(st.none(), st.integers(1, 9)))
def test_every_sample_once_and_in_order(samples: int, batch_size: int, fixed: int | None) -> None:
    session = Doubler(fixed if fixed else "N")
    parts = list(run_in_batches(session, {"x": _inputs(samples)}, batch_size))
    np.testing.assert_array_equal(np.concatenate([part["y"] for part in parts]), _inputs(samples) * 2)
    assert all(part["table"].shape == (3,) or fixed == 3 for part in parts)
    if fixed:
        assert set(session.sizes) == {fixed}
    else:
        assert max(session.sizes) <= batch_size


def test_a_model_with_a_baked_in_batch_of_one_runs_sample_by_sample() -> None:
    session = Doubler("N", most=1)
    parts = list(run_in_batches(session, {"x": _inputs(3)}, 2))
    assert session.sizes == [1, 1, 1] and len(parts) == 3


def test_a_model_that_fails_anyway_says_so() -> None:
    with pytest.raises(ModelError, match="too many"):
        list(run_in_batches(Doubler("N", most=0), {"x": _inputs(3)}, 2))


@pytest.mark.parametrize("inputs", [{"x": _inputs(3), "z": _inputs(2)}, {"x": _inputs(0)}, {}])
def test_disagreeing_or_no_samples(inputs: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(DataError):
        list(run_in_batches(Doubler(None), inputs, 2))
