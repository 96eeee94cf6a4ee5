"""Two models by several metrics, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from zsq_export.errors import DataError
from zsq_export.metrics.base import DataForm, Metric, MetricBatch, MetricValue, Outputs
from zsq_export.metrics.results import MetricDetail, MetricResult
from zsq_export.validation.figures import InputOrigin


class MetricRun:
    """Measures the float and the quantized model side by side, so that their difference is a paired one.

    Args:
        metrics: to measure.
        inputs: real or synthetic.
        form: what is known of the samples.

    Raises:
        DataError: a metric needs to know something else of them.
    """

    def __init__(self, metrics: Sequence[Metric], inputs: InputOrigin, form: DataForm) -> None:
        for metric in metrics:
            _require(metric, form)
        self._metrics = tuple(metrics)
        self._inputs = inputs
        self._meters = [(metric.meter(), metric.meter()) for metric in self._metrics]
        self._samples = 0

    def add(self, reference: Outputs, quantized: Outputs, batch: MetricBatch) -> None:
        """Adds the outputs of one batch.

        Raises:
            DataError: a metric cannot use them.
        """
        for first, second in self._meters:
            first.add(reference, batch)
            second.add(quantized, batch)
        self._samples += len(next(iter(batch.inputs.values())))

    def result(self) -> tuple[MetricResult, ...]:
        """The figures over all batches.

        Raises:
            DataError: a metric gives no finite number.
        """
        pairs = zip(self._metrics, self._meters, strict=True)
        return tuple(self._result(metric, first.result(), second.result()) for metric, (first, second) in pairs)

    def _result(self, metric: Metric, reference: MetricValue, quantized: MetricValue) -> MetricResult:
        if not math.isfinite(reference.value):
            raise DataError(f"the metric {metric.name} of the float model is {reference.value}")
        if not math.isfinite(quantized.value):
            raise DataError(f"the metric {metric.name} of the quantized model is {quantized.value}")
        gain = quantized.value - reference.value
        return MetricResult(
            name=metric.name,
            unit=metric.unit,
            higher_is_better=metric.higher_is_better,
            float_value=reference.value,
            quantized_value=quantized.value,
            drop=(-gain if metric.higher_is_better else gain) + 0.0,
            drop_standard_error=_paired_error(reference, quantized),
            details=_details(reference, quantized),
            samples=self._samples,
            inputs=self._inputs,
        )


def _require(metric: Metric, form: DataForm) -> None:
    if not metric.forms or form in metric.forms:
        return
    wanted = " or ".join(sorted(form.value for form in metric.forms))
    found = "there are none" if form is DataForm.ANYTHING else f"these have {form.value}"
    raise DataError(
        f"the metric {metric.name} needs samples with {wanted}, {found}",
        hint="give --data in a form that has them, see docs/metrics.md",
    )


def _paired_error(first: MetricValue, second: MetricValue) -> float | None:
    """s / √n of the differences per sample; None where there are none, or fewer than two."""
    if first.per_sample is None or second.per_sample is None or len(first.per_sample) < 2:
        return None
    difference = first.per_sample - second.per_sample
    error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return error if math.isfinite(error) else None


def _details(first: MetricValue, second: MetricValue) -> tuple[MetricDetail, ...]:
    values, others = dict(first.details), dict(second.details)
    return tuple(
        MetricDetail(name=name, float_value=values.get(name), quantized_value=others.get(name))
        for name in dict.fromkeys([*values, *others])
    )
