"""Finds out from the model alone what its input means: 0..255, 0..1, mean/std, RGB or BGR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.conventions import (
    COLOUR_CONVENTIONS,
    GREY_CONVENTIONS,
    NORMALISED,
    RAW,
    reversed_planes,
    value_range,
)
from zsq_export.calib.first_layer import ActivationProbe, BatchNormProbe
from zsq_export.calib.reproduction import REPRODUCES, ReproductionProbe
from zsq_export.calib.synthesis import PictureInput, normalise, prior_pictures
from zsq_export.graph.prepared import PreparedModel
from zsq_export.preprocessing import Origin, Preprocessing

PROBE_SAMPLES = 16
PROBE_SEED = 20230
REPRODUCED_SAMPLES = 4
"""The whole model has to run on them."""

CLEARLY_BETTER = 0.8
"""A later convention displaces an earlier one only when its mismatch is below this share of the other's."""

BGR_CLEARLY_BETTER = 0.6
RAW_CLEARLY_BETTER = 0.6
_RAW_SPAN = 100.0
POOR_FIT = 1.5
"""Mismatch of the first BatchNorm above which no usual convention explains the model."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What was found.

    Attributes:
        preprocessing: the convention taken.
        mismatch: of the first BatchNorms under it; NaN without BatchNorm.
        value_range: smallest and largest value of the input under this convention and those that fit as well.
        note: one sentence for the user: what was taken and how clear the choice was.
    """

    preprocessing: Preprocessing
    mismatch: float
    value_range: tuple[float, float]
    note: str

    @property
    def unusual(self) -> bool:
        """No usual convention explains the model: its input may be no picture at all."""
        return self.mismatch > POOR_FIT


def detect_convention(model: PreparedModel, picture: PictureInput) -> Detection:
    """Runs the prior under each usual convention and keeps the one that the first layers fit best."""
    pictures = prior_pictures(picture, seed=PROBE_SEED, count=PROBE_SAMPLES)
    return _by_batchnorm(model, picture, pictures) if model.batchnorms else _assume(model, picture, pictures)


def assume_convention(model: PreparedModel, picture: PictureInput) -> Detection:
    """The most usual convention, for one of several inputs: the model cannot be probed with the others missing."""
    taken = _candidates(picture)[0]
    return Detection(
        preprocessing=replace(taken, origin=Origin.ASSUMED),
        mismatch=float("nan"),
        value_range=value_range(taken),
        note=(
            f"the convention of '{picture.name}' cannot be detected, as the model has {len(model.inputs)} inputs; "
            f"assumed {taken.name}: give --mean and --std if that is wrong"
        ),
    )


def _by_batchnorm(model: PreparedModel, picture: PictureInput, pictures: NDArray[np.float32]) -> Detection:
    probe = BatchNormProbe(model)
    return choose_convention(
        picture, lambda taken: probe.mismatch({picture.name: picture.arrange(normalise(pictures, taken))})
    )


def choose_convention(picture: PictureInput, mismatch: Callable[[Preprocessing], float]) -> Detection:
    """The usual convention of least mismatch, the more usual one of two alike, and its planes reversed if that fits."""
    scores = {convention: mismatch(convention) for convention in _candidates(picture)}
    taken = _prefer(scores)
    if picture.channels == 3:
        mirrored = reversed_planes(taken)
        scores[mirrored] = mismatch(mirrored)
        taken = mirrored if scores[mirrored] < BGR_CLEARLY_BETTER * scores[taken] else taken
    return Detection(
        preprocessing=taken,
        mismatch=scores[taken],
        value_range=_joint_range([other for other in scores if scores[other] * CLEARLY_BETTER <= scores[taken]]),
        note=_describe(taken, scores),
    )


def _joint_range(conventions: list[Preprocessing]) -> tuple[float, float]:
    """Union of the value ranges, so that the input does not clip if a neighbour was meant."""
    ranges = [value_range(convention) for convention in conventions]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _candidates(picture: PictureInput) -> tuple[Preprocessing, ...]:
    return COLOUR_CONVENTIONS if picture.channels == 3 else GREY_CONVENTIONS


def _prefer(scores: dict[Preprocessing, float]) -> Preprocessing:
    """The first of those that are about as good as the best."""
    best = min(scores.values())
    return next(convention for convention, score in scores.items() if score * CLEARLY_BETTER <= best)


def _describe(taken: Preprocessing, scores: dict[Preprocessing, float]) -> str:
    return (
        f"input convention detected: {taken.name} (first BatchNorm's mismatch {scores[taken]:.2f}; "
        f"{_next_best(taken, scores, 2)})"
    )


def _next_best(taken: Preprocessing, scores: dict[Preprocessing, float], digits: int = 3) -> str:
    others = {other: score for other, score in scores.items() if other is not taken}
    runner_up = min(others, key=lambda other: others[other])
    return f"next best {runner_up.name} {others[runner_up]:.{digits}f}"


def _assume(model: PreparedModel, picture: PictureInput, pictures: NDArray[np.float32]) -> Detection:
    """Without BatchNorm an output that is a picture tells; else only raw pixels can be told from normalised ones."""
    found = _by_reproduction(model, picture, pictures)
    if found is not None:
        return found
    normalised, raw = (NORMALISED, RAW) if picture.channels == 3 else (GREY_CONVENTIONS[0], GREY_CONVENTIONS[3])
    taken = raw if _takes_raw(model, picture, pictures, raw, normalised) else normalised
    return Detection(
        preprocessing=replace(taken, origin=Origin.ASSUMED),
        mismatch=float("nan"),
        value_range=value_range(taken),
        note=(
            f"the model holds no BatchNorm to tell its input convention by; assumed {taken.name}: "
            "give --mean and --std if that is wrong"
        ),
    )


def _by_reproduction(model: PreparedModel, picture: PictureInput, pictures: NDArray[np.float32]) -> Detection | None:
    """The convention under which the model gives back the pictures that it is given; None if it does under none."""
    probe = ReproductionProbe(model, picture)
    if not probe.applies:
        return None
    few = pictures[:REPRODUCED_SAMPLES]
    scores = {
        convention: probe.mismatch(picture.arrange(normalise(few, convention))) for convention in _candidates(picture)
    }
    best = min(scores.values())
    if best > REPRODUCES:
        return None
    fitting = [convention for convention, score in scores.items() if score * CLEARLY_BETTER <= best]
    taken = fitting[0]
    if any(_is_raw(other) for other in fitting) and not _is_raw(taken):
        # A network without biases is blind to the unit of its input.
        raw = next(other for other in fitting if _is_raw(other))
        taken = raw if _takes_raw(model, picture, pictures, raw, taken) else taken
    return Detection(
        preprocessing=taken,
        mismatch=float("nan"),
        value_range=value_range(taken),
        note=(
            f"input convention detected: {taken.name} "
            f"(the output repeats the input with an error of {scores[taken]:.3f}; {_next_best(taken, scores)})"
        ),
    )


def _is_raw(convention: Preprocessing) -> bool:
    low, high = value_range(convention)
    return high - low > _RAW_SPAN


def _takes_raw(
    model: PreparedModel,
    picture: PictureInput,
    pictures: NDArray[np.float32],
    raw: Preprocessing,
    normalised: Preprocessing,
) -> bool:
    """Whether the first layers' activations are clearly nearer to unit variance for raw pixels."""
    probe = ActivationProbe(model)
    scores = [
        probe.mismatch({picture.name: picture.arrange(normalise(pictures, convention))})
        for convention in (normalised, raw)
    ]
    return scores[1] < RAW_CLEARLY_BETTER * scores[0]
