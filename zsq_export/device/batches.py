"""Batches of one size: what is measured on the device and on the host runs in the same shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import DeviceError

Arrays = Mapping[str, NDArray[np.float32]]
Run = Callable[[Arrays], Arrays]


def ordered(inputs: Arrays, names: Sequence[str]) -> list[NDArray[np.float32]]:
    """The inputs as a runtime takes them: in its order, float32, in C order.

    Raises:
        DeviceError: one is missing.
    """
    missing = [name for name in names if name not in inputs]
    if missing:
        raise DeviceError(f"no data for input {missing[0]!r}, the model's inputs are {', '.join(names)}")
    return [np.ascontiguousarray(inputs[name], np.float32) for name in names]


def pad_batch(feeds: Arrays, size: int) -> dict[str, NDArray[np.float32]]:
    """Repeats the last sample until the batch is full, so that every run has the same shape."""
    return {
        name: array if len(array) == size else np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])
        for name, array in feeds.items()
    }


def fill_batch(feeds: Arrays, size: int) -> dict[str, NDArray[np.float32]]:
    """Fills a batch from fewer samples by using them again."""
    return {name: np.asarray(array)[np.arange(size) % len(array)] for name, array in feeds.items()}


def iterate_batches(feeds: Arrays, size: int) -> Iterator[Arrays]:
    """All samples in order, ``size`` at a time; the last batch may be smaller."""
    count = len(next(iter(feeds.values())))
    for start in range(0, count, size):
        yield {name: np.asarray(array[start : start + size]) for name, array in feeds.items()}


def run_all(run: Run, feeds: Arrays, size: int) -> dict[str, NDArray[np.float32]]:
    """Runs all samples in batches of ``size`` and keeps the outputs.

    Args:
        run: one batch of exactly ``size``.
        feeds: input name -> [samples, ...].
        size: samples per run.

    Returns:
        Output name -> [samples, *output of one sample]. With ``size`` 1 the output of a sample is all that the run
        gave, because not every model has a batch axis there.

    Raises:
        ValueError: an output does not hold one row per sample.
    """
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for batch in iterate_batches(feeds, size):
        count = len(next(iter(batch.values())))
        for name, array in run(pad_batch(batch, size)).items():
            if size > 1 and (array.ndim == 0 or len(array) != size):
                raise ValueError(f"output {name!r} has shape {list(array.shape)} for a batch of {size}")
            parts.setdefault(name, []).append(array[:count] if size > 1 else array[None])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}
