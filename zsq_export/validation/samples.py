"""Inputs to validate on: a sequence that is read batch by batch, whatever stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.metrics.base import DataForm, Targets
from zsq_export.validation.figures import InputOrigin, InputsUsed

Feeds = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some samples in a row.

    Attributes:
        feeds: graph input name -> float32 [samples, ...].
        labels: class index of each sample, or None.
        targets: what else is known of each sample, see :class:`zsq_export.metrics.base.DataForm`; None: the labels.
    """

    feeds: Feeds
    labels: NDArray[np.int64] | None
    targets: Targets | None = None


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A sequence of model inputs with or without labels; only the batch in hand is in memory.

    Attributes:
        description: where they come from, for people.
        origin: real or synthetic.
        count: number of samples.
        labels: int64 [count], or None.
        read: gives the feeds of a range of samples.
        form: what is known of a sample.
        targets: gives it for a range of samples, where it is no class index.
    """

    description: str
    origin: InputOrigin
    count: int
    labels: NDArray[np.int64] | None
    read: Callable[[range], Feeds] = field(repr=False)
    form: DataForm = DataForm.ANYTHING
    targets: Callable[[range], Targets] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise DataError(f"{self.description} holds no samples")
        if self.labels is not None and len(self.labels) != self.count:
            raise DataError(f"{self.description} has {len(self.labels)} labels for {self.count} samples")

    def __len__(self) -> int:
        return self.count

    def batches(self, size: int) -> Iterator[Batch]:
        """All samples in order, ``size`` at a time; the last batch may be smaller.

        Raises:
            DataError: a sample cannot be read.
        """
        for start in range(0, self.count, size):
            rows = range(start, min(start + size, self.count))
            labels = None if self.labels is None else self.labels[rows.start : rows.stop]
            targets = labels if self.targets is None else self.targets(rows)
            yield Batch(feeds=self.read(rows), labels=labels, targets=targets)

    def head(self, count: int) -> Samples:
        """The first ``count`` samples (all, if there are fewer)."""
        if count >= self.count:
            return self
        return replace(self, count=count, labels=None if self.labels is None else self.labels[:count])

    def spread(self, count: int) -> Samples:
        """``count`` samples at equal distances, so that a folder sorted by class gives every class a chance."""
        if count >= self.count:
            return self
        picked = [index * self.count // count for index in range(count)]
        labels = None if self.labels is None else self.labels[picked]
        known = self.targets
        return replace(
            self,
            count=count,
            labels=labels,
            read=lambda rows: self._gather([picked[row] for row in rows]),
            targets=None
            if known is None
            else lambda rows: [known(range(index, index + 1))[0] for index in (picked[row] for row in rows)],
        )

    def used(self) -> InputsUsed:
        """What the report says of them."""
        return InputsUsed(
            origin=self.origin,
            description=self.description,
            samples=self.count,
            labelled=self.labels is not None or self.targets is not None,
        )

    def _gather(self, indices: list[int]) -> Feeds:
        single = [self.read(range(index, index + 1)) for index in indices]
        return {name: np.concatenate([feeds[name] for feeds in single]) for name in single[0]}


def samples_from_arrays(
    feeds: Feeds,
    *,
    description: str = "synthetic inputs that calibration did not see",
    origin: InputOrigin = InputOrigin.SYNTHETIC,
    labels: NDArray[np.int64] | None = None,
) -> Samples:
    """Wraps arrays that are model inputs already.

    Args:
        feeds: graph input name -> float32 [samples, ...].
        description: where they come from.
        origin: real or synthetic.
        labels: class index of each sample.

    Raises:
        DataError: no input, or inputs of different length.
    """
    lengths = {name: len(array) for name, array in feeds.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(f"the inputs hold different numbers of samples: {lengths}", hint="expected one number")
    return Samples(
        description=description,
        origin=origin,
        count=next(iter(lengths.values())),
        labels=labels,
        read=lambda rows: {
            name: np.asarray(array[rows.start : rows.stop], np.float32) for name, array in feeds.items()
        },
    )
