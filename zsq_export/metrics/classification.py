"""Class scores: top-1, top-5, and the area under the ROC curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.metrics.base import DataForm, Meter, MetricBatch, MetricValue, Outputs, Targets
from zsq_export.metrics.settings import pick_output, read_settings

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class TopSettings:
    """Settings of ``top1`` and ``top5``.

    Attributes:
        output: with the class scores; None: the first one.
    """

    output: str | None = None


@dataclass(frozen=True, kw_only=True)
class Top1:
    """Share of samples whose largest score is that of the right class."""

    settings: TopSettings = field(default_factory=TopSettings)
    rank: int = 1
    unit: str = "%"
    higher_is_better: bool = True
    forms: frozenset[DataForm] = frozenset({DataForm.CLASSES})

    @property
    def name(self) -> str:
        """As registered."""
        return f"top{self.rank}"

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"right class among the {self.rank} highest scores; labelled classes"

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """With other settings."""
        return type(self)(settings=read_settings(TopSettings, raw))

    def meter(self) -> Meter:
        """A new meter for one model."""
        return _TopMeter(self)


@dataclass(frozen=True, kw_only=True)
class Top5(Top1):
    """Share of samples whose right class is among the five largest scores."""

    rank: int = 5


class _TopMeter:
    def __init__(self, metric: Top1) -> None:
        self._metric = metric
        self._right: list[NDArray[np.bool_]] = []

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        scores = _scores(pick_output(outputs, self._metric.settings.output, self._metric.name), self._metric.name)
        labels = _labels(batch.targets, scores.shape[1], self._metric.name)
        own = np.take_along_axis(scores, labels[:, None], axis=1)
        better = (scores > own).sum(axis=1) + np.where(np.isnan(own[:, 0]), self._metric.rank, 0)
        self._right.append(better < self._metric.rank)

    def result(self) -> MetricValue:
        right = 100 * np.concatenate(self._right).astype(np.float64)
        return MetricValue(value=float(right.mean()), per_sample=right)


class AnomalyScore(StrEnum):
    """What tells a positive sample (class 1, an anomaly) from a negative one (class 0).

    OUTPUT: the output itself, one number per sample, or of two scores the second minus the first. RECONSTRUCTION: the
    mean squared difference between output and input, for autoencoders. AUTO: the one that fits the shapes.
    """

    AUTO = "auto"
    OUTPUT = "output"
    RECONSTRUCTION = "reconstruction"


@dataclass(frozen=True, kw_only=True)
class RocSettings:
    """Settings of ``roc-auc``.

    Attributes:
        output: that scores the samples; None: the first one.
        score: what is compared.
        higher_is_positive: whether a larger score means class 1.
    """

    output: str | None = None
    score: AnomalyScore = AnomalyScore.AUTO
    higher_is_positive: bool = True


@dataclass(frozen=True, kw_only=True)
class RocAuc:
    """Chance that a positive sample has a higher score than a negative one (Hanley & McNeil 1982), ties count half."""

    settings: RocSettings = field(default_factory=RocSettings)
    name: str = "roc-auc"
    summary: str = "area under the ROC curve, of a score or of an autoencoder's error; classes 0 and 1"
    unit: str = ""
    higher_is_better: bool = True
    forms: frozenset[DataForm] = frozenset({DataForm.CLASSES})

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """With other settings."""
        return type(self)(settings=read_settings(RocSettings, raw))

    def meter(self) -> Meter:
        """A new meter for one model."""
        return _RocMeter(self.settings)


class _RocMeter:
    def __init__(self, settings: RocSettings) -> None:
        self._settings = settings
        self._scores: list[NDArray[np.float64]] = []
        self._labels: list[NDArray[np.int64]] = []

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        output = pick_output(outputs, self._settings.output, "roc-auc")
        self._scores.append(_anomaly_scores(output, batch, self._settings.score))
        self._labels.append(_labels(batch.targets, 2, "roc-auc"))

    def result(self) -> MetricValue:
        scores, labels = np.concatenate(self._scores), np.concatenate(self._labels)
        return MetricValue(value=roc_auc(scores if self._settings.higher_is_positive else -scores, labels))


def roc_auc(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The Mann-Whitney statistic over the number of pairs.

    Args:
        scores: of each sample; larger is more likely positive.
        labels: 0 or 1.

    Raises:
        DataError: only one class is there, or a score is NaN.
    """
    from scipy.stats import rankdata

    positive = labels == 1
    if positive.all() or not positive.any():
        raise DataError("roc-auc needs samples of class 0 and of class 1, there is only one of them")
    if np.isnan(scores).any():
        raise DataError("roc-auc cannot rank scores that are NaN")
    count = int(positive.sum())
    ranks = float(rankdata(scores)[positive].sum())
    return (ranks - count * (count + 1) / 2) / (count * (len(labels) - count))


def _anomaly_scores(output: FloatArray, batch: MetricBatch, score: AnomalyScore) -> NDArray[np.float64]:
    inputs = next(iter(batch.inputs.values()))
    flat = output.reshape(len(output), -1).astype(np.float64)
    if score is AnomalyScore.AUTO:
        score = AnomalyScore.OUTPUT if flat.shape[1] <= 2 else AnomalyScore.RECONSTRUCTION
    if score is AnomalyScore.RECONSTRUCTION:
        if inputs[0].size != output[0].size:
            raise DataError(
                f"roc-auc: an output {list(output.shape)} gives back no input {list(inputs.shape)}",
                hint='say what is compared: {"score": "output"}',
            )
        errors: NDArray[np.float64] = ((flat - inputs.reshape(len(inputs), -1)) ** 2).mean(axis=1)
        return errors
    if flat.shape[1] > 2:
        raise DataError(f"roc-auc: an output {list(output.shape)} is no single score", hint="name another output")
    return flat[:, 0] if flat.shape[1] == 1 else flat[:, 1] - flat[:, 0]


def _scores(output: FloatArray, metric: str) -> FloatArray:
    longer = [side for side in output.shape[1:] if side != 1]
    if len(longer) != 1:
        raise DataError(f"{metric} needs class scores [samples, classes], the output is {list(output.shape)}")
    return output.reshape(len(output), longer[0])


def _labels(targets: Targets | None, classes: int, metric: str) -> NDArray[np.int64]:
    labels = np.asarray(targets, np.int64)
    if labels.size and int(labels.max()) >= classes:
        raise DataError(f"{metric}: the data has class index {int(labels.max())}, expected 0 to {classes - 1}")
    return labels
