"""Where the quantized model runs: on this machine, or on a device that sent its results."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zsq_export.backends.base import Backend, ExecutedOp
from zsq_export.device.batches import fill_batch
from zsq_export.device.energy import measure_energy
from zsq_export.device.machine import Reading, read_settings, read_state
from zsq_export.device.runtimes import core_count
from zsq_export.device.timing import measure
from zsq_export.errors import TargetUnavailableError, UsageError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepared import InputInfo, PreparedModel
from zsq_export.progress import Progress
from zsq_export.validation.figures import Latency
from zsq_export.validation.latency import Candidate, Conditions, LatencyOptions, summarize_latency
from zsq_export.validation.report_types import Environment
from zsq_export.validation.running import Outputs, choose_batch, fixed_batch
from zsq_export.validation.samples import Feeds, Samples
from zsq_export.version import version

HERE = "this machine"
QUANTIZED_LABEL = "int8"


class Bench(Protocol):
    """A place where the quantized model runs."""

    def batch_size(self, samples: Samples, reference: OrtSession) -> int:
        """Samples per run."""
        ...

    def run(self, feeds: Feeds) -> Outputs:
        """Outputs of the quantized model."""
        ...

    def latencies(self, samples: Samples) -> tuple[Latency, ...]:
        """One for each batch size and number of threads; empty if it is not to be measured."""
        ...

    def executed(self) -> tuple[ExecutedOp, ...]:
        """What really ran."""
        ...

    def environment(self) -> Environment:
        """The device; asked for when everything is measured."""
        ...


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """How a :class:`LocalBench` measures.

    Attributes:
        threads: of the runtime; None: its own choice.
        latency: how to time; None: do not.
        progress: told what is being done.
    """

    threads: int | None
    latency: LatencyOptions | None
    progress: Progress


class LocalBench:
    """This machine.

    Args:
        backend: of the artifact's target.
        entry: lowered file to open.
        prepared: the float model.
        settings: see there.

    Raises:
        TargetUnavailableError: the target's runtime is not here.
        UsageError: a batch size that the model cannot take.
    """

    def __init__(self, backend: Backend, entry: Path, prepared: PreparedModel, settings: LocalSettings) -> None:
        self._probe = backend.probe()
        if not self._probe.available:
            raise TargetUnavailableError(f"target {backend.name} cannot run here", hint=self._probe.hint)
        self._backend, self._entry, self._prepared, self._settings = backend, entry, prepared, settings
        self._points = latency_points(prepared.inputs, settings.latency, settings.threads)
        self._before = [*read_settings(), *read_state("before")]
        self._runner = backend.open(entry, threads=settings.threads)

    def batch_size(self, samples: Samples, reference: OrtSession) -> int:
        """The model's own if it is fixed, else what keeps memory bounded."""
        return choose_batch(samples, self._prepared.inputs, reference.run)

    def run(self, feeds: Feeds) -> Outputs:
        """Runs one batch."""
        return self._runner.run(feeds)

    def latencies(self, samples: Samples) -> tuple[Latency, ...]:
        """Float and quantized model in turns."""
        return tuple(self._latency(samples, size, threads) for size, threads in self._points)

    def executed(self) -> tuple[ExecutedOp, ...]:
        """As the runtime tells."""
        return self._runner.executed_precisions()

    def environment(self) -> Environment:
        """This machine, before and after what was measured so far."""
        return Environment(
            runtime=self._probe.runtime,
            device=self._probe.device,
            int8_hardware=self._probe.int8_hardware,
            platform=f"{platform.system()} {platform.machine()}",
            cpu_count=core_count(),
            package_version=version(),
            place=HERE,
            readings=tuple(map(_pair, [*self._before, *read_state("after")])),
        )

    def _latency(self, samples: Samples, batch_size: int, threads: int | None) -> Latency:
        options = self._settings.latency
        assert options is not None
        self._settings.progress(f"measuring latency, batch {batch_size}, {threads or 'all'} threads", None)
        few = samples.head(batch_size)
        feeds = fill_batch(few.read(range(len(few))), batch_size)
        candidates = self._candidates(feeds, threads)
        calls = [candidate.call for candidate in candidates]
        timings = measure(
            calls,
            options.timing,
            reload=lambda: [candidate.call for candidate in self._candidates(feeds, threads)],
        )
        return summarize_latency(
            [candidate.label for candidate in candidates],
            [candidate.precision for candidate in candidates],
            timings,
            Conditions(batch_size=batch_size, threads=threads, inputs=samples.origin, seed=options.seed),
            measure_energy(calls),
        )

    def _candidates(self, feeds: Feeds, threads: int | None) -> list[Candidate]:
        backend = self._backend
        floats = [
            Candidate(
                label=float_label(precision.value),
                precision=precision.value,
                call=backend.open_float(self._prepared.folded, precision, threads=threads).bind(feeds),
            )
            for precision in backend.float_precisions()
        ]
        runner = backend.open(self._entry, threads=threads)
        return [*floats, Candidate(label=QUANTIZED_LABEL, precision=None, call=runner.bind(feeds))]


def float_label(precision: str) -> str:
    """What a float series is called."""
    return f"float {precision}"


def latency_points(
    inputs: Sequence[InputInfo], options: LatencyOptions | None, threads: int | None
) -> tuple[tuple[int, int | None], ...]:
    """Batch size and threads of every latency that is asked for, the main one first.

    Raises:
        UsageError: a batch size that the model cannot take.
    """
    if options is None:
        return ()
    fixed = fixed_batch(inputs)
    wanted = [size for size in (options.batch_size, *options.more_batch_sizes) if size is not None]
    for size in wanted:
        if fixed is not None and size != fixed:
            raise UsageError(
                f"the model has a fixed batch size of {fixed}, latency cannot be measured at {size}",
                hint="export the model with a dynamic batch, or leave --batch-size out",
            )
    sizes = dict.fromkeys([fixed or options.batch_size or 1, *options.more_batch_sizes])
    return tuple((size, count) for count in dict.fromkeys([threads, *options.more_threads]) for size in sizes)


def _pair(reading: Reading) -> tuple[str, str]:
    return reading.name, reading.value
