"""Cells of the zero-shot benchmark: what is measured of one network one way, and what was found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Protocol(StrEnum):
    """Which tensors are quantized."""

    DEPLOYABLE = "deployable"
    LITERATURE = "literature"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where statistics and inputs come from; cells of one source share one calibration.

    Attributes:
        network: name of the file.
        calibrator: registered name.
        seed: of its random choices.
        samples: inputs made; 0: the calibrator's own default.
        effort: of the calibrator.
        equalize: cross-layer equalization first.
        improvements: of BatchNorm inversion.
        device: of calibration and learned rounding.
    """

    network: str
    calibrator: str
    seed: int = 0
    samples: int = 0
    effort: str = "balanced"
    equalize: bool = False
    improvements: tuple[str, ...] = ()
    device: str = "cpu"

    @property
    def key(self) -> str:
        """File name without its ending."""
        marks = [*(["equalized"] if self.equalize else []), *self.improvements]
        marks += [self.device] if self.device != "cpu" else []
        samples = self.samples or ""
        return ".".join([self.network, self.calibrator, f"{self.effort}{samples}", str(self.seed), *marks])

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Source:
        """Reads what ``asdict`` and JSON made of one."""
        return cls(**{**raw, "improvements": tuple(raw["improvements"])})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is measured.

    Attributes:
        source: of the statistics.
        protocol: placement.
        rounding: registered name.
        weights, activations: bits; 32: float.
        steps: of a learned rounding; 0: its default.
    """

    source: Source
    protocol: Protocol
    rounding: str
    weights: int
    activations: int
    steps: int = 0

    @property
    def key(self) -> str:
        """File name without its ending."""
        steps = f".{self.steps}" if self.steps else ""
        return f"{self.source.key}.{self.protocol}.{self.rounding}{steps}.w{self.weights}a{self.activations}"

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Cell:
        """Reads what ``asdict`` and JSON made of one."""
        return cls(**{**raw, "source": Source.from_dict(raw["source"]), "protocol": Protocol(raw["protocol"])})


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured.

    Attributes:
        cell: see there.
        float_top1, top1: percent, on all labelled test images.
        sqnr: of the logits against the float model's, dB.
        agreement: percent of the test images that both give the same class.
        calibration_seconds, rounding_seconds: wall time; evaluation and start of the interpreter excluded.
        peak_gib: peak resident memory of calibration or rounding, whichever is larger.
        gpu_gib: peak memory taken on the GPU, likewise; 0 on a CPU.
        obstacle: why nothing was measured, in one line; "" otherwise.
    """

    cell: Cell
    float_top1: float = 0.0
    top1: float = 0.0
    sqnr: float = 0.0
    calibration_seconds: float = 0.0
    rounding_seconds: float = 0.0
    peak_gib: float = 0.0
    gpu_gib: float = 0.0
    obstacle: str = ""
    agreement: float = 0.0

    @property
    def drop(self) -> float:
        """Points lost."""
        return self.float_top1 - self.top1

    @property
    def seconds(self) -> float:
        """Of the method as a whole."""
        return self.calibration_seconds + self.rounding_seconds

    @classmethod
    def load(cls, path: Path) -> Result | None:
        """The result of an earlier run; None where there is none, or half of one."""
        try:
            raw: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        return cls(**{**raw, "cell": Cell.from_dict(raw["cell"])})


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all, so that a stopped run can be resumed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
