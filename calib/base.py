"""The contract of a calibrator: synthetic inputs and tensor statistics from the model alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zsq_export.calib.improvement import Improvement
from zsq_export.graph.prepared import PreparedModel
from zsq_export.preprocessing import Preprocessing
from zsq_export.progress import Progress, silent
from zsq_export.quantization.statistics import TensorStatistics

SyntheticInputs = Mapping[str, NDArray[np.float32]]
"""Graph input name -> float32 [samples, ...], already preprocessed."""


class Effort(StrEnum):
    """How much time a calibrator may take."""

    FAST = "fast"
    BALANCED = "balanced"
    THOROUGH = "thorough"


class Device(StrEnum):
    """Where gradients are computed."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, kw_only=True)
class CalibrationRequest:
    """What the user asked of a calibrator.

    Attributes:
        seed: of every random choice; same seed, same inputs.
        effort: time class.
        samples: how many inputs to make; None: the calibrator's own default for the effort.
        preprocessing: the input convention if it is known; None: detect it.
        data: folder or .npz with real inputs (`data` calibrator only).
        device: where to compute gradients.
        improvements: of BatchNorm inversion, for calibrators that are ``improvable``.
        progress: called with (what is being done, fraction done or None).
    """

    seed: int = 0
    effort: Effort = Effort.BALANCED
    samples: int | None = None
    preprocessing: Preprocessing | None = None
    data: Path | None = None
    device: Device = Device.CPU
    improvements: tuple[Improvement, ...] = ()
    progress: Progress = field(default=silent, compare=False)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a calibration came from. Holds no time, so that the same seed gives the same bytes.

    Attributes:
        calibrator: registered name of what really ran.
        seed: as requested.
        samples: inputs made.
        settings: the calibrator's effective settings, for people ("steps": "30").
        final_losses: named loss values at the end of an optimisation.
        notes: what the user should know (why this calibrator, how clear the convention was, what was lost).
    """

    calibrator: str
    seed: int
    samples: int
    settings: tuple[tuple[str, str], ...] = ()
    final_losses: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationResult:
    """Statistics for every tensor of the folded model, and the inputs they were gathered on.

    Attributes:
        statistics: tensor name (in ``PreparedModel.folded``) -> what was seen. Target-free.
        inputs: the synthetic inputs; empty for a calibrator that makes none.
        preprocessing: the input convention that was used; None if the input is no picture.
        provenance: see there.
    """

    statistics: Mapping[str, TensorStatistics]
    inputs: SyntheticInputs
    preprocessing: Preprocessing | None
    provenance: Provenance


class Calibrator(Protocol):
    """One way to get statistics without data. Registered by entry point ``zsq_export.calibrators``.

    One that heeds ``CalibrationRequest.improvements`` says so by a class attribute ``improvable = True``.
    """

    name: str
    summary: str

    def obstacle(self, model: PreparedModel) -> str | None:
        """Why this calibrator cannot work on the model, as one sentence; None if it can."""
        ...

    def calibrate(self, model: PreparedModel, request: CalibrationRequest) -> CalibrationResult:
        """Makes the statistics.

        Raises:
            CalibrationError: the model lacks what this calibrator needs; the message says what to do.
        """
        ...
