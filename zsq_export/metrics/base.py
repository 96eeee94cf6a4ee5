"""The contract of a metric: what it needs of the data, and how it measures one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Outputs = Mapping[str, NDArray[np.float32]]
Targets = Sequence[Any] | NDArray[Any]
"""What is known of some samples, one entry each: a class index, an array (picture, mask, numbers), or a
:class:`zsq_export.metrics.boxes.PictureBoxes`. The :class:`DataForm` of the samples says which."""


class DataForm(StrEnum):
    """What is known of a sample, and with it which metrics can be measured.

    ANYTHING: inputs only. CLASSES: a class index. VALUES: an array of any shape. PICTURES: the picture that the model
    should give back, float32 [channels, rows, columns] in 0..1. MASKS: a class index per pixel, int64 [rows, columns],
    negative where there is none. BOXES: objects with boxes and categories.
    """

    ANYTHING = "anything"
    CLASSES = "classes"
    VALUES = "values"
    PICTURES = "pictures"
    MASKS = "masks"
    BOXES = "boxes"


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricBatch:
    """Some samples in a row, without the outputs of the model that is measured.

    Attributes:
        inputs: graph input name -> float32 [samples, ...].
        targets: what is known of each sample; None where nothing is.
        reference: outputs of the float model, by name.
    """

    inputs: Outputs
    targets: Targets | None
    reference: Outputs


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricValue:
    """One model by one metric.

    Attributes:
        value: the figure.
        per_sample: float64 [samples], if the figure is the mean of something per sample: it makes the difference of two
            models a paired one.
        details: further figures by name.
    """

    value: float
    per_sample: NDArray[np.float64] | None = None
    details: tuple[tuple[str, float], ...] = ()


class Meter(Protocol):
    """Gathers what one metric wants to know of one model, batch by batch."""

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        """Adds one batch.

        Raises:
            DataError: outputs or targets that the metric cannot use; the message says what it expected.
        """
        ...

    def result(self) -> MetricValue:
        """The figure over all batches."""
        ...


class Metric(Protocol):
    """One way to say what a model is worth. Registered by entry point ``zsq_export.metrics``."""

    @property
    def name(self) -> str:
        """As registered, or where the user's own one comes from."""
        ...

    @property
    def summary(self) -> str:
        """One line for people."""
        ...

    @property
    def unit(self) -> str:
        """Of the values: "%", "dB", "" for plain numbers."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is a better one."""
        ...

    @property
    def forms(self) -> frozenset[DataForm]:
        """Any of these is what it needs of the data; empty: it needs nothing but the inputs."""
        ...

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """The same metric with the settings of a spec file.

        Raises:
            ValueError: a setting that it does not have, or one of the wrong type; the message holds its path.
        """
        ...

    def meter(self) -> Meter:
        """A new meter for one model."""
        ...
