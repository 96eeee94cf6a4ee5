"""From features of held-out sets to the agreement on real data, with an interval and a word on confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zsq_export.estimate.features import SetFeatures
from zsq_export.estimate.fitted import CLASSES, VALUES
from zsq_export.estimate.held_out import DRIVEN
from zsq_export.estimate.model import Fit, percent_of, probit, root_mean_square
from zsq_export.validation.forecast import AgreementEstimate, AgreementKind, Confidence, EstimatePart

FAR = 0.2
"""Radians between the outputs of the two models, from which on the quantized model does not follow the float one."""
_APART = 3.0
"""Times that the angles of two sets may differ."""
_SURE_INPUTS = 0.9
"""Agreement that inputs driven to classes should have at least: the float model has no doubt about them."""
_MISMATCH = 0.6
"""BatchNorm mismatch of a calibration from which on its inputs are unlike what the network was trained on."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a prediction rests on.

    Attributes:
        kind: what agreement means.
        sets: held-out sets by name.
        mismatch: of BatchNorm statistics with those of the calibration; None where there are none.
    """

    kind: AgreementKind
    sets: Mapping[str, SetFeatures]
    mismatch: float | None = None

    @property
    def natural(self) -> tuple[SetFeatures, ...]:
        """The sets that no gradient was needed for."""
        return tuple(seen for name, seen in self.sets.items() if name != DRIVEN)

    @property
    def angle(self) -> float:
        """Root mean square over the natural sets."""
        return root_mean_square([seen.angle for seen in self.natural])


def features_of(evidence: Evidence) -> tuple[float, ...]:
    """What the fit multiplies its weights with."""
    agreement = _mean([seen.agreement for seen in evidence.natural])
    if evidence.kind is AgreementKind.VALUES:
        return (probit(agreement),)
    return (math.log(evidence.angle), evidence.angle**2, probit(agreement))


def predict(evidence: Evidence) -> AgreementEstimate:
    """The agreement to expect on real data.

    Args:
        evidence: see there.
    """
    fit = fit_of(evidence.kind)
    value = fit.value(features_of(evidence))
    half = fit.half_widths[evidence.angle >= FAR]
    reasons = doubts(evidence)
    return AgreementEstimate(
        percent=round(percent_of(value), 1),
        low=math.floor(10 * percent_of(value - half)) / 10,
        high=math.ceil(10 * percent_of(value + half)) / 10,
        coverage=fit.coverage,
        kind=evidence.kind,
        confidence=Confidence.LOW if reasons else Confidence.HIGH,
        reasons=reasons,
        parts=tuple(_part(name, seen) for name, seen in evidence.sets.items()),
    )


def fit_of(kind: AgreementKind) -> Fit:
    """The coefficients for one kind of agreement."""
    return CLASSES if kind is AgreementKind.TOP1 else VALUES


def doubts(evidence: Evidence) -> tuple[str, ...]:
    """Why an estimate is not to be relied on, for people; nothing where it is."""
    found = []
    angles = [seen.angle for seen in evidence.natural]
    if evidence.angle >= FAR:
        found.append(
            "the quantized model does not follow the float one on synthetic inputs "
            f"({min(seen.sqnr_db for seen in evidence.natural):.1f} dB): most likely its ranges clip"
        )
    if max(angles) > _APART * min(angles):
        found.append("two kinds of synthetic inputs contradict each other")
    driven = evidence.sets.get(DRIVEN)
    if driven is not None and driven.agreement < _SURE_INPUTS:
        found.append(f"only {100 * driven.agreement:.0f} % agree of the inputs that the float model is sure of")
    if evidence.mismatch is not None and evidence.mismatch > _MISMATCH:
        found.append(
            f"calibration saw other statistics than BatchNorm stored (mismatch {evidence.mismatch:.2f}, "
            f"{_MISMATCH:g} is much)"
        )
    return tuple(found)


def _part(name: str, seen: SetFeatures) -> EstimatePart:
    return EstimatePart(
        inputs=name,
        samples=seen.samples,
        agreement=round(100 * seen.agreement, 1),
        sqnr_db=round(seen.sqnr_db, 1),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
