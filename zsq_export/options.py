"""What a caller can choose, beside the options of planning and of validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zsq_export.calib.base import CalibrationRequest, Device, Effort
from zsq_export.calib.improvement import Improvement
from zsq_export.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """How statistics are made.

    Attributes:
        calibrator: registered name.
        equalize: even out the channel ranges of neighbouring layers before calibration.
        seed, effort, samples, preprocessing, data, device, improvements: see
            :class:`zsq_export.calib.base.CalibrationRequest`.
    """

    calibrator: str = "auto"
    equalize: bool = False
    seed: int = 0
    effort: Effort = Effort.BALANCED
    samples: int | None = None
    preprocessing: Preprocessing | None = None
    data: Path | None = None
    device: Device = Device.CPU
    improvements: tuple[Improvement, ...] = ()

    def request(self) -> CalibrationRequest:
        """What the calibrator is asked for."""
        return CalibrationRequest(
            seed=self.seed,
            effort=self.effort,
            samples=self.samples,
            preprocessing=self.preprocessing,
            data=self.data,
            device=self.device,
            improvements=self.improvements,
        )

    def described(self) -> tuple[tuple[str, str], ...]:
        """The choices as (name, value) pairs, for a manifest."""
        return (
            ("calibrator", self.calibrator),
            ("effort", self.effort.value),
            ("samples", "default" if self.samples is None else str(self.samples)),
            ("device", self.device.value),
            *((("improve", " ".join(self.improvements)),) if self.improvements else ()),
        )
