"""What every calibrator that makes inputs hands back: statistics on them, tails widened, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Provenance, SyntheticInputs
from zsq_export.calib.bn_inversion.evidence import with_extremes
from zsq_export.calib.score_margin import score_margin
from zsq_export.calib.starting_point import StartingPoint
from zsq_export.calib.tails import widen_tails
from zsq_export.execution.collect import collect_statistics
from zsq_export.graph.prepared import PreparedModel


@dataclass(frozen=True, kw_only=True, eq=False)
class Sure:
    """Inputs of the first start that the network is sure of, and the tensors whose extremes they show.

    Attributes:
        inputs: float32 [samples, ...].
        tensors: names in the folded model; those without statistics are left out.
    """

    inputs: NDArray[np.float32]
    tensors: Sequence[str]


def gathered(
    model: PreparedModel,
    request: CalibrationRequest,
    starts: Sequence[StartingPoint],
    inputs: SyntheticInputs,
    *,
    calibrator: str,
    settings: Sequence[tuple[str, str]] = (),
    losses: Sequence[tuple[str, float]] = (),
    sure: Sure | None = None,
) -> CalibrationResult:
    """Statistics of the folded model on inputs that a calibrator made.

    Args:
        model: that the inputs were made for.
        request: gives the seed, and is told of progress.
        starts: where the inputs began, one per graph input; they say how far tails are widened, and the convention.
        inputs: as the model takes them.
        calibrator: its registered name.
        settings, losses: for the provenance.
        sure: inputs that count for some tensors' extremes only.
    """
    request.progress("gathering statistics", None)
    statistics = collect_statistics(model.folded, inputs)
    if sure is not None:
        behind = [name for name in sure.tensors if name in statistics]
        seen = collect_statistics(model.folded, {starts[0].input_name: sure.inputs}, tensors=behind)
        statistics = with_extremes(model, statistics, seen)
    margin = max(start.tail_margin for start in starts)
    known = {start.input_name: start.value_range for start in starts}
    return CalibrationResult(
        statistics=widen_tails(model, statistics, known, margin, score_margin(model, sure=sure is not None)),
        inputs=inputs,
        preprocessing=next((start.preprocessing for start in starts if start.preprocessing), None),
        provenance=Provenance(
            calibrator=calibrator,
            seed=request.seed,
            samples=len(next(iter(inputs.values()))),
            settings=(*settings, ("tail margin", f"{margin:g}")),
            final_losses=tuple(losses),
            notes=tuple(note for start in starts for note in start.notes),
        ),
    )
