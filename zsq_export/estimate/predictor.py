"""From features of held-out sets to the agreement on real data, with an interval and a word on confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zsq_export.estimate.features import Kappa, SetFeatures, kappa_of
from zsq_export.estimate.fitted import CLASSES, VALUES
from zsq_export.estimate.held_out import DRIVEN
from zsq_export.estimate.model import Fit, probit, root_mean_square, share_of, wide_probit
from zsq_export.validation.forecast import AgreementEstimate, AgreementKind, Confidence, EstimatePart

FAR = 0.2
"""Radians between the outputs of the two models, from which on the quantized model does not follow the float one."""
_GUESSING = 5.0
_APART = 3.0
"""Times that the angles of two sets may differ."""
_SURE_INPUTS = 0.9
"""Agreement that inputs driven to classes should have at least: the float model has no doubt about them."""
_MISMATCH = 0.6
"""BatchNorm mismatch of a calibration from which on its inputs are unlike what the network was trained on."""
_ONE_CLASS = 0.9
"""Agreement by chance from which on the synthetic inputs show too few classes."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a prediction rests on.

    Attributes:
        kind: what agreement means.
        sets: held-out sets by name.
        classes: of the output; 0 where it holds none.
        mismatch: of BatchNorm statistics with those of the calibration; None where there are none.
        assumed: whether nobody said, and the model did not tell, how pictures become its input.
    """

    kind: AgreementKind
    sets: Mapping[str, SetFeatures]
    classes: int = 0
    mismatch: float | None = None
    assumed: bool = False

    @property
    def natural(self) -> tuple[SetFeatures, ...]:
        """The sets that no gradient was needed for."""
        return tuple(seen for name, seen in self.sets.items() if name != DRIVEN)

    @property
    def angle(self) -> float:
        """Root mean square over the natural sets."""
        return root_mean_square([seen.angle for seen in self.natural])

    @property
    def kappa(self) -> Kappa:
        """Agreement beyond chance on the natural sets; on all, where those show too few classes."""
        natural = kappa_of(self.natural)
        return natural if natural.chance < _ONE_CLASS else kappa_of(tuple(self.sets.values()))

    @property
    def seen(self) -> float:
        """Share that the prediction starts from: beyond chance where there are classes, and enough of them."""
        if self.kind is AgreementKind.VALUES or self.kappa.chance >= _ONE_CLASS:
            return sum(seen.usual for seen in self.natural) / len(self.natural)
        return self.kappa.value

    @property
    def chance(self) -> float:
        """Agreement on real data of a model that only guesses."""
        return 1 / self.classes if self.classes > 1 else 0.0


def predict(evidence: Evidence) -> AgreementEstimate:
    """The agreement to expect on real data.

    Args:
        evidence: see there.
    """
    fit = fit_of(evidence.kind)
    value = expected(evidence, fit)
    bounds = interval(evidence, value, fit.half_widths)
    reasons = doubts(evidence)
    return AgreementEstimate(
        percent=round(percent(evidence, value), 1),
        low=math.floor(10 * bounds[0]) / 10,
        high=math.ceil(10 * bounds[1]) / 10,
        coverage=fit.coverage,
        kind=evidence.kind,
        confidence=Confidence.LOW if reasons else Confidence.HIGH,
        reasons=reasons,
        parts=tuple(_part(name, seen) for name, seen in evidence.sets.items()),
    )


def expected(evidence: Evidence, fit: Fit) -> float:
    """Probit of the share beyond chance.

    Where the quantized model follows the float one, a few hundred samples do not tell its disagreement, as it is some
    tenths of a percent: what was measured of such models says more, or the angle, where that leaves less. What share of
    values is close, they do tell.
    """
    if evidence.kind is AgreementKind.VALUES:
        return wide_probit(evidence.seen)
    if evidence.angle < FAR:
        return fit.near(evidence.angle)
    return fit.far(probit(evidence.seen), evidence.angle)


def interval(evidence: Evidence, value: float, half_widths: tuple[float, float]) -> tuple[float, float]:
    """Percent, from and to.

    Where the quantized model does not follow the float one, how often a guess is right depends on how common the
    classes are, which nobody knows: some points more on both sides.
    """
    far = evidence.angle >= FAR
    half, more = half_widths[far], _GUESSING if far else 0.0
    return max(0.0, percent(evidence, value - half) - more), min(100.0, percent(evidence, value + half) + more)


def percent(evidence: Evidence, value: float) -> float:
    """Percent of all samples, those that agree by chance among them."""
    return 100 * (evidence.chance + (1 - evidence.chance) * share_of(value))


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
    if evidence.kind is AgreementKind.TOP1 and evidence.kappa.chance >= _ONE_CLASS:
        found.append("the float model gives almost all synthetic inputs the same class")
    if driven is not None and driven.agreement < _SURE_INPUTS:
        found.append(f"only {100 * driven.agreement:.0f} % agree of the inputs that the float model is sure of")
    if evidence.mismatch is not None and evidence.mismatch > _MISMATCH:
        found.append(
            f"calibration saw other statistics than BatchNorm stored (mismatch {evidence.mismatch:.2f}, "
            f"{_MISMATCH:g} is much)"
        )
    if evidence.assumed:
        found.append("the input convention is assumed, on another the ranges do not fit: give --mean and --std")
    return tuple(found)


def _part(name: str, seen: SetFeatures) -> EstimatePart:
    return EstimatePart(
        inputs=name,
        samples=seen.samples,
        agreement=round(100 * seen.agreement, 1),
        sqnr_db=round(seen.sqnr_db, 1),
    )
