"""What is converted, how, and a model as it was calibrated."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from zsq_export.backends.options import TargetOptions
from zsq_export.calib.base import CalibrationResult, Effort
from zsq_export.graph.prepared import PreparedModel
from zsq_export.options import CalibrationOptions
from zsq_export.planning.options import PlanOptions

if TYPE_CHECKING:
    from zsq_export.execution.covariance import Covariances

IN_A_HURRY = ("effort", Effort.FAST.value)
"""The mark that ``--effort fast`` leaves in a calibration's settings."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One model, one or several targets.

    Attributes:
        model: the .onnx file.
        targets: registered names; of a saved plan there can be only one.
        output: folder of the artifact; with several targets each gets a sub-folder of its name.
        calibration: how statistics are made.
        planning: how they become ranges.
        target_options: scheme and settings of every target.
        saved_calibration: take the statistics from this file instead.
        saved_plan: take the plan from this file instead.
        overwrite: replace artifacts that exist.
        estimate: say what agreement with the float model to expect on real data.
    """

    model: Path
    targets: tuple[str, ...]
    output: Path
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    planning: PlanOptions = field(default_factory=PlanOptions)
    target_options: TargetOptions = field(default_factory=TargetOptions)
    saved_calibration: Path | None = None
    saved_plan: Path | None = None
    overwrite: bool = False
    estimate: bool = True

    def destination(self, target: str) -> Path:
        """Folder of one target's artifact."""
        return self.output / target if len(self.targets) > 1 else self.output


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated:
    """A model as it was calibrated, and what came of it.

    Attributes:
        prepared: equalized if that was asked for.
        result: of the calibrator.
        equalized: whether the model is.
    """

    prepared: PreparedModel
    result: CalibrationResult
    equalized: bool

    @cached_property
    def covariances(self) -> Covariances:
        """Of what meets the weights; the targets share them."""
        from zsq_export.execution.covariance import Covariances

        return Covariances(self.prepared.folded, self.result.inputs)
