"""Synthetic inputs that no calibrator saw: another seed, another kind of picture, and inputs driven to classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from zsq_export.calib.base import CalibrationRequest, SyntheticInputs
from zsq_export.calib.bn_inversion.runs import drive_to_classes
from zsq_export.calib.bn_inversion.settings import InversionSettings
from zsq_export.calib.starting_point import StartingPoint, starting_point_of
from zsq_export.errors import ModelError
from zsq_export.estimate.pictures import facet_pictures
from zsq_export.graph.macs import node_macs
from zsq_export.graph.prepared import PreparedModel
from zsq_export.preprocessing import Preprocessing
from zsq_export.validation.samples import Samples, samples_from_arrays

SEED_OFFSET = 1_000_003
"""Added to the seed of the calibration, so that no input is one that it saw."""

PICTURES, FACETS, DRIVEN = "procedural pictures", "shaded facets", "driven to classes"
"""Names of the sets."""

_MACS = 2.0e10
"""Multiply-accumulates that the first set may take: a few seconds on two cores, float and quantized together."""
_ELEMENTS = 2.0e7
"""Values of the first set: drawing large pictures takes longer than running small networks on them."""
_FEWEST, _MOST = 24, 192
_FACETS_SHARE = 0.5
_DRIVEN_MACS = 4.0e10
"""Of descent, where a step takes about three times a forward pass; networks for which that is too little go without:
EfficientNet-Lite0 would spend half as long on them as on its calibration."""
_DRIVEN_STEPS, _DRIVEN_MOST, _DRIVEN_FEWEST = 8, 32, 8


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """One set of inputs.

    Attributes:
        name: how they were made, for people.
        inputs: graph input -> float32 [samples, ...].
    """

    name: str
    inputs: SyntheticInputs

    @property
    def samples(self) -> Samples:
        """The same, to be run batch by batch."""
        return samples_from_arrays(self.inputs, description=self.name)


def held_out_sets(
    prepared: PreparedModel, *, seed: int, preprocessing: Preprocessing | None, driven: bool = True
) -> tuple[HeldOut, ...]:
    """Two sets of other inputs, and where the model is a classifier that can be differentiated, a third.

    Args:
        prepared: the float model.
        seed: of the calibration.
        preprocessing: the input convention of the calibration; None: the input is no picture, or detect it.
        driven: make the third set, too, which takes gradients.
    """
    other = seed + SEED_OFFSET
    macs = max(1, sum(node_macs(prepared.folded).values()))
    elements = sum(math.prod(side or 1 for side in info.shape[1:]) for info in prepared.inputs)
    count = int(np.clip(min(_MACS / macs, _ELEMENTS / elements), _FEWEST, _MOST))
    starts = [
        starting_point_of(prepared, info, seed=other + index, count=count, given=preprocessing)
        for index, info in enumerate(prepared.inputs)
    ]
    second = [_other_kind(start, seed=other + 101 + index) for index, start in enumerate(starts)]
    sets = [_joined(PICTURES, starts), _joined(FACETS, second)]
    third = _driven(prepared, starts[0], other, macs) if driven and len(starts) == 1 else None
    return tuple(sets if third is None else [*sets, third])


def _joined(name: str, starts: list[StartingPoint]) -> HeldOut:
    return HeldOut(name=name, inputs={start.input_name: start.inputs() for start in starts})


def _other_kind(start: StartingPoint, *, seed: int) -> StartingPoint:
    """Facets where the input is a picture; elsewhere fields with heavier tails."""
    count = max(1, int(len(start.variable) * _FACETS_SHARE))
    if start.picture is not None:
        picture = start.picture
        made = facet_pictures(
            seed=seed, count=count, channels=picture.channels, height=picture.height, width=picture.width
        )
        return replace(start, variable=made)
    rng = np.random.default_rng(seed)
    chosen = start.variable[rng.permutation(len(start.variable))[:count]]
    middle, gain = chosen.mean(), rng.lognormal(0.0, 0.5, (count,) + (1,) * (chosen.ndim - 1))
    return replace(start, variable=(middle + (chosen[..., ::-1] - middle) * gain).astype(np.float32))


def _driven(prepared: PreparedModel, start: StartingPoint, seed: int, macs: int) -> HeldOut | None:
    """Inputs that the network is sure of, as of most real ones; None if it is no classifier or has no gradient."""
    affordable = int(_DRIVEN_MACS / (3 * _DRIVEN_STEPS * macs))
    if affordable < _DRIVEN_FEWEST:
        return None
    count = min(affordable, _DRIVEN_MOST, len(start.variable))
    settings = InversionSettings(
        samples=count, inverted=count, batch=count, steps=_DRIVEN_STEPS, evidence=count, evidence_batch=count,
        learning_rate=0.04, budget=0.0, enough=count,
    )  # fmt: skip
    try:
        found = drive_to_classes(prepared, start, settings, CalibrationRequest(seed=seed))
    except ModelError:
        return None
    return None if found is None else HeldOut(name=DRIVEN, inputs={start.input_name: found.inputs})
