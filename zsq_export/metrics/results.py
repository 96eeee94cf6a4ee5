"""What a metric found out about two models."""

from __future__ import annotations

from dataclasses import dataclass

from zsq_export.validation.figures import InputOrigin


@dataclass(frozen=True, kw_only=True)
class MetricDetail:
    """A further figure of a metric, "AP50" beside the mAP; None where one of the models has none."""

    name: str
    float_value: float | None
    quantized_value: float | None


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """Float and quantized model by one metric.

    Attributes:
        name: of the metric, or where the user's own one comes from.
        unit: of the values: "%", "dB", "" for plain numbers.
        higher_is_better: whether a larger value is a better one.
        float_value, quantized_value: of the two models.
        drop: how much worse the quantized model is, in the unit (points for "%"); negative where it is better.
        drop_standard_error: of the paired difference; None where the metric has no figure per sample.
        details: further figures.
        samples: behind the values.
        inputs: real or synthetic.
    """

    name: str
    unit: str
    higher_is_better: bool
    float_value: float
    quantized_value: float
    drop: float
    drop_standard_error: float | None
    details: tuple[MetricDetail, ...]
    samples: int
    inputs: InputOrigin
