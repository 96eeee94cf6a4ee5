"""Running many samples through a model whose batch size may be fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError, ModelError

Arrays = dict[str, NDArray[Any]]


class Session(Protocol):
    """What batching needs of a session."""

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | str | None, ...]]:
        """Graph input name -> dimensions; no integer where symbolic."""
        ...

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Graph outputs and taps."""
        ...


def run_in_batches(session: Session, inputs: Mapping[str, NDArray[Any]], batch_size: int) -> Iterator[Arrays]:
    """Runs all samples, a batch at a time.

    A fixed batch dimension of the model is honoured: the last batch is filled up with repeats, which are cut off the
    results again. A model whose batch is declared free but which fails on more than one sample (a Reshape with a
    baked-in batch of 1) is run one sample at a time.

    Args:
        session: the model.
        inputs: graph input name -> [samples, ...].
        batch_size: samples per run where the model leaves it free.

    Yields:
        Outputs and taps of each batch, in order.

    Raises:
        DataError: the inputs disagree in the number of samples, or there are none.
        ModelError: an input is missing, or the model fails.
    """
    samples = sample_count(inputs)
    fixed = fixed_batch(session.input_shapes)
    size = fixed or batch_size
    start = 0
    while start < samples:
        count = min(size, samples - start)
        try:
            results = session.run(_batch(inputs, start, count, fixed))
        except ModelError:
            if fixed or start or count == 1:
                raise
            size = 1
            continue
        yield _without_repeats(results, count, fixed)
        start += count


def sample_count(inputs: Mapping[str, NDArray[Any]]) -> int:
    """How many samples the inputs hold.

    Raises:
        DataError: they disagree, or there are none.
    """
    counts = {name: len(array) for name, array in inputs.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise DataError(f"inputs hold different or no samples: {counts}", hint="axis 0 of every input counts samples")
    return next(iter(counts.values()))


def fixed_batch(shapes: Mapping[str, tuple[int | str | None, ...]]) -> int | None:
    """The batch size that the model's inputs fix, or None."""
    sizes = [shape[0] for shape in shapes.values() if shape]
    return next((size for size in sizes if isinstance(size, int)), None)


def _batch(inputs: Mapping[str, NDArray[Any]], start: int, count: int, fixed: int | None) -> Arrays:
    if fixed is None or count == fixed:
        return {name: array[start : start + count] for name, array in inputs.items()}
    rows = start + np.arange(fixed) % count
    return {name: array[rows] for name, array in inputs.items()}


def _without_repeats(results: Arrays, count: int, fixed: int | None) -> Arrays:
    if fixed is None or count == fixed:
        return results
    return {name: a[:count] if a.ndim and len(a) == fixed else a for name, a in results.items()}
