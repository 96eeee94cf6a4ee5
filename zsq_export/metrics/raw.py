"""Raw outputs of any model against those of the float model; nothing needs to be known of the samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from zsq_export.metrics.base import DataForm, Meter, MetricBatch, MetricValue, Outputs
from zsq_export.metrics.settings import pick_output, read_settings

PerSample = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""(reference, output), both [samples, elements] -> [samples]."""


@dataclass(frozen=True, kw_only=True)
class RawSettings:
    """Settings of ``cosine`` and ``mse``.

    Attributes:
        output: to compare; None: all of them, each with the same weight.
    """

    output: str | None = None


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Cosine similarity to the float model's output, mean over samples; 1 for the float model itself."""

    settings: RawSettings = field(default_factory=RawSettings)
    name: str = "cosine"
    summary: str = "cosine similarity of the outputs to the float model's; any data, or none"
    unit: str = ""
    higher_is_better: bool = True
    forms: frozenset[DataForm] = frozenset()

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """With other settings."""
        return type(self)(settings=read_settings(RawSettings, raw))

    def meter(self) -> Meter:
        """A new meter for one model."""
        return _RawMeter(self.settings, _cosine, self.name)


@dataclass(frozen=True, kw_only=True)
class Mse:
    """Mean squared difference to the float model's output; 0 for the float model itself."""

    settings: RawSettings = field(default_factory=RawSettings)
    name: str = "mse"
    summary: str = "mean squared error of the outputs against the float model's; any data, or none"
    unit: str = ""
    higher_is_better: bool = False
    forms: frozenset[DataForm] = frozenset()

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """With other settings."""
        return type(self)(settings=read_settings(RawSettings, raw))

    def meter(self) -> Meter:
        """A new meter for one model."""
        return _RawMeter(self.settings, _squared_error, self.name)


class _RawMeter:
    def __init__(self, settings: RawSettings, compare: PerSample, name: str) -> None:
        self._settings = settings
        self._compare = compare
        self._name = name
        self._values: list[NDArray[np.float64]] = []

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        names = list(batch.reference) if self._settings.output is None else [self._settings.output]
        pairs = [
            (pick_output(batch.reference, name, self._name), pick_output(outputs, name, self._name)) for name in names
        ]
        values = [
            self._compare(*(array.reshape(len(array), -1).astype(np.float64) for array in pair)) for pair in pairs
        ]
        self._values.append(np.mean(values, axis=0))

    def result(self) -> MetricValue:
        values = np.concatenate(self._values)
        return MetricValue(value=float(values.mean()), per_sample=values)


def _cosine(reference: NDArray[np.float64], output: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(reference, axis=1) * np.linalg.norm(output, axis=1)
    equal = (reference == output).all(axis=1).astype(np.float64)
    cosines = np.sum(reference * output, axis=1) / np.where(lengths > 0, lengths, 1)
    found: NDArray[np.float64] = np.where(equal > 0, 1.0, np.where(lengths > 0, cosines, 0.0)).clip(-1, 1)
    return found


def _squared_error(reference: NDArray[np.float64], output: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = ((reference - output) ** 2).mean(axis=1)
    return found
