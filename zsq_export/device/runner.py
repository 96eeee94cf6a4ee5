"""Runs a bundle: outputs first, then what ran in which precision, then latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import encode, hash_arrays, read_inputs, read_labels, read_reference
from .batches import fill_batch, run_all
from .compare import compare
from .energy import measure_energy
from .errors import DeviceError
from .machine import describe, read_settings, read_state
from .results import DeviceResults, LatencyRun, Series
from .runtimes import Runtime, find_runtime
from .spec import BundleSpec
from .timing import TimingOptions, measure

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An unpacked bundle.

    Attributes:
        folder: where it is.
        spec: what it holds.
        say: told what is being done.
    """

    folder: Path
    spec: BundleSpec
    say: Say = field(repr=False)


def run_bundle(bundle: Bundle) -> DeviceResults:
    """Measures everything that the bundle asks for.

    Raises:
        DeviceError: the runtime is missing, or the bundle was damaged.
    """
    spec = bundle.spec
    runtime = find_runtime(spec.target)
    readings = [*read_settings(), *read_state("before")]
    inputs = read_inputs(bundle.folder, spec)
    inputs_sha256 = hash_arrays(inputs)
    if inputs_sha256 != spec.inputs_sha256:
        raise DeviceError("the inputs are not those that the bundle was made with: copy the bundle again")
    bundle.say(f"running {spec.samples} samples on {runtime.version()}")
    model = runtime.open_model(bundle.folder / spec.quantized, precision="f32", threads=spec.threads or None)
    outputs = run_all(model.run, inputs, spec.batch_size)
    reference, labels = read_reference(bundle.folder, spec), read_labels(bundle.folder, spec)
    ran = model.ran()
    latency = _latencies(bundle, runtime, inputs)
    readings += read_state("after")
    return DeviceResults(
        target=spec.target,
        artifact_sha256=spec.artifact_sha256,
        inputs_sha256=inputs_sha256,
        samples=spec.samples,
        batch_size=spec.batch_size,
        threads=spec.threads,
        device=describe(runtime.version(), readings),
        outputs=tuple(encode(name, array) for name, array in outputs.items()),
        fidelity=tuple(
            compare(name, array, outputs[name], labels) for name, array in reference.items() if name in outputs
        ),
        ran=ran,
        latency=latency,
    )


def _latencies(bundle: Bundle, runtime: Runtime, inputs: Mapping[str, NDArray[Any]]) -> tuple[LatencyRun, ...]:
    timing = bundle.spec.timing
    if not timing.seconds:
        return ()
    pairs = [(size, threads) for size in timing.batch_sizes for threads in timing.threads]
    return tuple(_latency(bundle, runtime, inputs, size, threads) for size, threads in pairs)


def _latency(
    bundle: Bundle, runtime: Runtime, inputs: Mapping[str, NDArray[Any]], batch_size: int, threads: int
) -> LatencyRun:
    spec, timing = bundle.spec, bundle.spec.timing
    bundle.say(f"measuring latency, batch {batch_size}, {threads or 'all'} threads")
    first = {name: np.asarray(array[:batch_size], np.float32) for name, array in inputs.items()}
    feeds = fill_batch(first, batch_size)
    precisions = runtime.float_precisions() if spec.floats else ()
    files = [*((spec.floats, precision) for precision in precisions), (spec.quantized, "")]

    def load() -> list[Callable[[], None]]:
        models = [
            runtime.open_model(bundle.folder / file, precision=precision or "f32", threads=threads or None)
            for file, precision in files
        ]
        return [model.bind(feeds) for model in models]

    calls = load()
    options = TimingOptions(
        seconds=timing.seconds, most_seconds=timing.most_seconds, most_rounds=timing.most_rounds, seed=timing.seed
    )
    timings = measure(calls, options, reload=load)
    return LatencyRun(
        batch_size=batch_size,
        threads=threads,
        series=tuple(
            Series(precision=precision, seconds=tuple(map(float, times)), inferences=count)
            for (_, precision), times, count in zip(files, timings.seconds, timings.inferences, strict=True)
        ),
        disturbances=tuple(map(int, timings.disturbances)),
        loading=tuple(map(int, timings.loading)),
        warmed_up=timings.warmed_up,
        raised=timings.raised,
        energy=measure_energy(calls),
    )
