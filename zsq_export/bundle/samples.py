"""How many samples a device is given."""

from __future__ import annotations

from dataclasses import dataclass

from zsq_export.device.batches import fill_batch
from zsq_export.execution.ort_session import OrtSession
from zsq_export.validation.samples import Samples

_DEFAULT_MOST = 256
_DEFAULT_BYTES = 128 << 20


@dataclass(frozen=True, kw_only=True)
class SampleLimit:
    """How many samples at most.

    Attributes:
        most: asked for; None: 256, and so many that inputs, outputs and reference stay below 128 MiB.
    """

    most: int | None = None


def limit_samples(samples: Samples, reference: OrtSession, limit: SampleLimit, *, fixed_batch: int | None) -> Samples:
    """Some of the samples, spread over all of them.

    Args:
        samples: all of them.
        reference: the float model; it tells how large an output is.
        limit: see there.
        fixed_batch: the only batch size that the model takes, if it is fixed.
    """
    if limit.most is not None:
        return samples.spread(limit.most)
    feeds = samples.read(range(1))
    batch = fixed_batch or 1
    outputs = reference.run(fill_batch(feeds, batch))
    size = sum(array.nbytes for array in feeds.values()) + 2 * sum(array.nbytes for array in outputs.values()) // batch
    return samples.spread(max(1, min(_DEFAULT_MOST, _DEFAULT_BYTES // max(size, 1))))
