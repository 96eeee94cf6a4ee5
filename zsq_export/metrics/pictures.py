"""Pictures and masks: PSNR of what should come out, and mIoU of the classes of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.metrics.base import DataForm, Meter, MetricBatch, MetricValue, Outputs
from zsq_export.metrics.settings import pick_output, read_settings

_HIGHEST_DB = 200.0
"""Stands for "no error": JSON has no infinity."""


@dataclass(frozen=True, kw_only=True)
class PsnrSettings:
    """Settings of ``psnr``. Pictures of the data are in 0..1; arrays of an .npz are as they are.

    Attributes:
        output: with the picture [samples, channels, rows, columns]; None: the first one.
        scale, offset: ``output * scale + offset`` is in the units of the target.
        data_range: largest value less smallest, of the target.
        low: smallest value; outputs are clipped to ``low .. low + data_range``.
        levels: outputs are rounded to so many levels of that range, 256 as when they are saved; None: not rounded.
        border: rows and columns at each edge that do not count.
    """

    output: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    data_range: float = 1.0
    low: float = 0.0
    levels: int | None = 256
    border: int = 0

    def __post_init__(self) -> None:
        if self.data_range <= 0 or self.border < 0 or (self.levels is not None and self.levels < 2):
            raise ValueError("spec needs a positive data_range, a border of at least 0 and at least 2 levels")


@dataclass(frozen=True, kw_only=True)
class Psnr:
    """Peak signal-to-noise ratio in dB, the mean over pictures."""

    settings: PsnrSettings = field(default_factory=PsnrSettings)
    name: str = "psnr"
    summary: str = "PSNR of pictures; input/ and target/ folders, or .npz with arrays x and y"
    unit: str = "dB"
    higher_is_better: bool = True
    forms: frozenset[DataForm] = frozenset({DataForm.PICTURES, DataForm.VALUES})

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """With other settings."""
        return type(self)(settings=read_settings(PsnrSettings, raw))

    def meter(self) -> Meter:
        """A new meter for one model."""
        return _PsnrMeter(self.settings)


class _PsnrMeter:
    def __init__(self, settings: PsnrSettings) -> None:
        self._settings = settings
        self._values: list[float] = []

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        output = pick_output(outputs, self._settings.output, "psnr")
        assert batch.targets is not None
        for found, target in zip(output, batch.targets, strict=True):
            self._values.append(self._psnr(found, np.asarray(target, np.float64)))

    def result(self) -> MetricValue:
        values = np.array(self._values)
        return MetricValue(value=float(values.mean()), per_sample=values)

    def _psnr(self, found: NDArray[np.float32], target: NDArray[np.float64]) -> float:
        """A padded input gives an output that is larger than the target: what belongs to the padding is cut off."""
        settings = self._settings
        if found.ndim != target.ndim or any(own < want for own, want in zip(found.shape, target.shape, strict=True)):
            raise DataError(f"psnr: an output {list(found.shape)} cannot hold a target {list(target.shape)}")
        if target.ndim < 2 or min(target.shape[-2:]) <= 2 * settings.border:
            raise DataError(f"psnr: a target {list(target.shape)} is smaller than its border of {settings.border}")
        cut = found[tuple(slice(0, side) for side in target.shape)].astype(np.float64)
        shown = self._shown(cut * settings.scale + settings.offset)
        rows, columns = (slice(settings.border, side - settings.border) for side in target.shape[-2:])
        error = float(np.mean((shown - target)[..., rows, columns] ** 2))
        return _HIGHEST_DB if error == 0 else float(10 * np.log10(settings.data_range**2 / error))

    def _shown(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        settings = self._settings
        shares = np.clip((values - settings.low) / settings.data_range, 0, 1)
        if settings.levels is not None:
            shares = np.rint(shares * (settings.levels - 1)) / (settings.levels - 1)
        shown: NDArray[np.float64] = shares * settings.data_range + settings.low
        return shown


@dataclass(frozen=True, kw_only=True)
class MiouSettings:
    """Settings of ``miou``.

    Attributes:
        output: with scores [samples, classes, rows, columns], or class indices [samples, rows, columns]; None: the
            first one.
        class_axis: of the scores, 0 being the samples.
        ignore: class index that does not count; negative ones never do.
    """

    output: str | None = None
    class_axis: int = 1
    ignore: int | None = 255


@dataclass(frozen=True, kw_only=True)
class Miou:
    """Mean intersection over union of the classes that occur, over all pixels of the data."""

    settings: MiouSettings = field(default_factory=MiouSettings)
    name: str = "miou"
    summary: str = "mean IoU of segmentation; images/ and masks/ folders, or .npz with masks y"
    unit: str = "%"
    higher_is_better: bool = True
    forms: frozenset[DataForm] = frozenset({DataForm.MASKS, DataForm.VALUES})

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """With other settings."""
        return type(self)(settings=read_settings(MiouSettings, raw))

    def meter(self) -> Meter:
        """A new meter for one model."""
        return _MiouMeter(self.settings)


class _MiouMeter:
    def __init__(self, settings: MiouSettings) -> None:
        self._settings = settings
        self._counts = np.zeros((0, 0), np.int64)

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        output = pick_output(outputs, self._settings.output, "miou")
        assert batch.targets is not None
        named, classes = self._named(output)
        for found, target in zip(named, batch.targets, strict=True):
            self._count(found, np.asarray(target), classes)

    def result(self) -> MetricValue:
        hits = np.diag(self._counts).astype(np.float64)
        union = self._counts.sum(0) + self._counts.sum(1) - hits
        seen = self._counts.sum(1) > 0
        if not seen.any():
            raise DataError("miou: the masks hold no class")
        shares = 100 * hits[seen] / union[seen]
        right = 100 * hits.sum() / self._counts.sum()
        return MetricValue(value=float(shares.mean()), details=(("pixel accuracy", float(right)),))

    def _named(self, output: NDArray[np.float32]) -> tuple[NDArray[np.int64], int]:
        """Class index per pixel, and how many classes there are (0: not known)."""
        if output.ndim == 4:
            return output.argmax(self._settings.class_axis), output.shape[self._settings.class_axis]
        if output.ndim == 3:
            return np.rint(output).astype(np.int64), 0
        raise DataError(f"miou needs scores [samples, classes, rows, columns], the output is {list(output.shape)}")

    def _count(self, found: NDArray[np.int64], target: NDArray[Any], classes: int) -> None:
        if target.ndim != 2:
            raise DataError(f"miou: a mask is {list(target.shape)}, expected [rows, columns]")
        rows = (np.arange(found.shape[0]) * 2 + 1) * target.shape[0] // (2 * found.shape[0])
        columns = (np.arange(found.shape[1]) * 2 + 1) * target.shape[1] // (2 * found.shape[1])
        wanted = target[rows[:, None], columns[None, :]].astype(np.int64)
        counted = (wanted >= 0) & (found >= 0)
        if self._settings.ignore is not None:
            counted &= wanted != self._settings.ignore
        if not counted.any():
            return
        largest = int(wanted[counted].max())
        if classes and largest >= classes:
            raise DataError(f"miou: a mask holds class {largest}, the model has {classes}")
        size = max(len(self._counts), classes, largest + 1, int(found[counted].max()) + 1)
        grown = np.zeros((size, size), np.int64)
        grown[: len(self._counts), : len(self._counts)] = self._counts
        pairs = wanted[counted] * size + found[counted]
        self._counts = grown + np.bincount(pairs, minlength=size * size).reshape(size, size)
