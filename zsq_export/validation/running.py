"""Running models batch by batch, whatever batch size they were exported with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from zsq_export.device.batches import pad_batch
from zsq_export.errors import ModelError
from zsq_export.graph.prepared import InputInfo
from zsq_export.validation.samples import Feeds, Samples

Outputs = Mapping[str, NDArray[np.float32]]
Run = Callable[[Feeds], Outputs]

_INPUT_ELEMENTS = 1 << 20
"""Input elements per batch: activations are some tens of times larger, which keeps a batch below about half a GB."""
_LARGEST_BATCH = 64


def fixed_batch(inputs: Sequence[InputInfo]) -> int | None:
    """The batch size that the model was exported with, or None if any will do."""
    return next((info.shape[0] for info in inputs if info.shape and info.shape[0] is not None), None)


def choose_batch(samples: Samples, inputs: Sequence[InputInfo], reference: Run) -> int:
    """Batch size for evaluation: the model's own if it is fixed, else what keeps memory bounded.

    A model whose batch is declared free but which takes one sample only (a Reshape with a batch of 1 baked in) is found
    out by trying.

    Args:
        samples: that will be run.
        inputs: of the model.
        reference: the float model.
    """
    fixed = fixed_batch(inputs)
    if fixed is not None:
        return fixed
    elements = sum(array.size for array in samples.read(range(1)).values())
    size = max(1, min(_LARGEST_BATCH, len(samples), _INPUT_ELEMENTS // max(elements, 1)))
    return size if size == 1 or _takes(reference, samples.read(range(size)), size) else 1


def _takes(run: Run, feeds: Feeds, size: int) -> bool:
    try:
        run_padded(run, feeds, size)
    except ModelError:
        return False
    return True


def run_padded(run: Run, feeds: Feeds, size: int) -> Outputs:
    """Runs one batch of at most ``size`` samples in a batch of exactly ``size``.

    Returns:
        Outputs of the samples that were given.

    Raises:
        ModelError: an output does not hold one row per sample.
    """
    count = len(next(iter(feeds.values())))
    outputs = run(pad_batch(feeds, size))
    for name, array in outputs.items():
        if size > 1 and (array.ndim == 0 or len(array) != size):
            raise ModelError(
                f"output {name!r} has shape {list(array.shape)} for a batch of {size}, expected one row per sample",
                hint="export the model with a fixed batch size of 1",
            )
    return {name: array[:count] if size > 1 else array for name, array in outputs.items()}
