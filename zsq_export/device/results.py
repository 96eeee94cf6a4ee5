"""What a run on the device gives; the host reads it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import EncodedArray
from .compare import Fidelity
from .energy import Energy
from .machine import DeviceInfo
from .ratios import Timings
from .runtimes import RanOp

RESULTS_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Series:
    """Times of one model.

    Attributes:
        precision: of the float model; "" for the quantized one.
        seconds: per inference, one per round.
        inferences: timed together in one round.
    """

    precision: str
    seconds: tuple[float, ...]
    inferences: int


@dataclass(frozen=True, kw_only=True)
class LatencyRun:
    """Latency at one batch size and number of threads, rounds interleaved.

    Attributes:
        batch_size: samples per inference.
        threads: asked for; 0: the runtime's own choice.
        series: float ones first, the quantized one last.
        disturbances: per round: how often the system took the processor away, and how many threads of other programs
            wanted one when a block began.
        loading: per round: which loading of the models it was.
        warmed_up: the times had become stable before the first round.
        raised: the system let the runner have the raised priority in every second round.
        energy: per inference.
    """

    batch_size: int
    threads: int
    series: tuple[Series, ...]
    disturbances: tuple[int, ...]
    loading: tuple[int, ...]
    warmed_up: bool
    raised: bool
    energy: Energy


@dataclass(frozen=True, kw_only=True)
class DeviceResults:
    """What ``run.py --json`` prints.

    Attributes:
        target: of the bundle.
        artifact_sha256: of the manifest of the artifact that the bundle was made of.
        inputs_sha256: of the inputs that were run.
        samples: how many.
        batch_size: of every run.
        threads: that the outputs were computed with; 0: the runtime's own choice.
        device: where.
        outputs: of the quantized model over all samples, bit for bit.
        fidelity: these against the float model's.
        ran: every op with its precision.
        latency: one entry per batch size and number of threads.
    """

    target: str
    artifact_sha256: str
    inputs_sha256: str
    samples: int
    batch_size: int
    threads: int
    device: DeviceInfo
    outputs: tuple[EncodedArray, ...]
    fidelity: tuple[Fidelity, ...]
    ran: tuple[RanOp, ...]
    latency: tuple[LatencyRun, ...]
    results_version: int = RESULTS_VERSION


def timings_of(run: LatencyRun) -> Timings:
    """The rounds as they were timed."""
    return Timings(
        seconds=np.array([series.seconds for series in run.series]),
        disturbances=np.array(run.disturbances),
        loading=np.array(run.loading),
        inferences=tuple(series.inferences for series in run.series),
        warmed_up=run.warmed_up,
        raised=run.raised,
    )
