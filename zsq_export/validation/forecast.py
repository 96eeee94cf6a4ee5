"""What is predicted of a quantized model on real data, from synthetic inputs alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AgreementKind(StrEnum):
    """What it means that two models agree.

    TOP1: they name the same class. VALUES: for outputs that are no class scores, one output value lies within 5 % of
    the spread of its sample's output (see :func:`zsq_export.validation.comparison.value_tolerance`).
    """

    TOP1 = "same top class"
    VALUES = "values within 5 % of the output's spread"


class Confidence(StrEnum):
    """How far an estimate is to be trusted."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, kw_only=True)
class EstimatePart:
    """One set of held-out inputs that an estimate rests on.

    Attributes:
        inputs: how they were made, "procedural pictures".
        samples: how many.
        agreement: of the quantized model with the float one on them, percent.
        sqnr_db: of the outputs on them.
    """

    inputs: str
    samples: int
    agreement: float
    sqnr_db: float


@dataclass(frozen=True, kw_only=True)
class AgreementEstimate:
    """The agreement with the float model on real data, predicted without any.

    Attributes:
        percent: predicted, 0..100.
        low, high: the interval that is stated to hold the true figure.
        coverage: how often such intervals held it on the models that the predictor was fitted on, 0..1.
        kind: what agreement means for this model's outputs.
        confidence: low where the parts contradict each other, or lie beyond what the predictor was fitted on.
        reasons: why the confidence is low, for people; empty where it is high.
        parts: the evidence, one entry per set of inputs.
    """

    percent: float
    low: float
    high: float
    coverage: float
    kind: AgreementKind
    confidence: Confidence
    reasons: tuple[str, ...]
    parts: tuple[EstimatePart, ...]
