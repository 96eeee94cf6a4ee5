"""A device that is not here: what it sent takes the place of running the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from zsq_export.backends.base import ExecutedOp
from zsq_export.device.arrays import decode
from zsq_export.device.results import DeviceResults, LatencyRun, timings_of
from zsq_export.errors import DataError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.validation.bench import QUANTIZED_LABEL, float_label
from zsq_export.validation.figures import Latency
from zsq_export.validation.latency import Conditions, summarize_latency
from zsq_export.validation.report_types import Environment
from zsq_export.validation.running import Outputs
from zsq_export.validation.samples import Feeds, Samples
from zsq_export.version import version

_SAME_DATA = "give the same --data, --preprocessing and --model as the bundle was made with"


class RecordedBench:
    """Replays the outputs of a device.

    Args:
        results: of the device.
        samples: that the bundle was made with.
        known: ops with their multiply-accumulates as this machine's runtime tells them, if it is here: the device
            knows names and precisions only.
        place: where the device is.

    Raises:
        DataError: the results are damaged, or of other inputs than ``samples``.
    """

    def __init__(self, results: DeviceResults, samples: Samples, known: Iterable[ExecutedOp], place: str) -> None:
        self._results = results
        self._place = place
        self._macs = {op.name: op.macs for op in known}
        try:
            self._outputs = {entry.name: decode(entry) for entry in results.outputs}
        except ValueError as error:
            raise DataError(f"the results are not valid: {error}", hint="copy them again from the device") from error
        if len(samples) != results.samples or any(len(rows) != results.samples for rows in self._outputs.values()):
            raise DataError(f"the results are of {results.samples} samples, not {len(samples)}", hint=_SAME_DATA)
        self._rows, inputs_sha256 = _index(samples)
        if inputs_sha256 != results.inputs_sha256:
            raise DataError(f"the results were measured on other inputs than {samples.description}", hint=_SAME_DATA)

    def batch_size(self, samples: Samples, reference: OrtSession) -> int:
        """Of the runs on the device."""
        return self._results.batch_size

    def run(self, feeds: Feeds) -> Outputs:
        """The outputs that the device gave for these inputs.

        Raises:
            DataError: it was not given these.
        """
        count = len(next(iter(feeds.values())))
        keys = [_key({name: array[row] for name, array in feeds.items()}) for row in range(count)]
        missing = [row for row, key in enumerate(keys) if key not in self._rows]
        if missing:
            raise DataError("the device was not given these inputs", hint=_SAME_DATA)
        rows = [self._rows[key] for key in keys]
        if self._results.batch_size == 1:
            return {name: array[rows[0]] for name, array in self._outputs.items()}
        return {name: array[rows] for name, array in self._outputs.items()}

    def latencies(self, samples: Samples) -> tuple[Latency, ...]:
        """As timed on the device."""
        return tuple(_latency(run, samples) for run in self._results.latency)

    def executed(self) -> tuple[ExecutedOp, ...]:
        """As the device's runtime tells."""
        return tuple(
            ExecutedOp(name=op.name, op_type=op.op_type, precision=op.precision, macs=self._macs.get(op.name, 0))
            for op in self._results.ran
        )

    def environment(self) -> Environment:
        """The device."""
        device = self._results.device
        return Environment(
            runtime=device.runtime,
            device=device.gpu or device.cpu,
            int8_hardware=device.int8_hardware,
            platform=device.system,
            cpu_count=device.cores,
            package_version=version(),
            place=self._place,
            readings=(
                ("Python", device.python),
                ("NumPy", device.numpy),
                *([("memory", f"{device.memory_mib} MiB")] if device.memory_mib else []),
                *((entry.name, entry.value) for entry in device.readings),
            ),
        )


def _index(samples: Samples) -> tuple[Mapping[bytes, int], str]:
    """Hash of a sample -> its row, and the hash of all inputs as the device computes it."""
    rows: dict[bytes, int] = {}
    digests: dict[str, hashlib._Hash] = {}
    for row in range(len(samples)):
        feeds = {name: array[0] for name, array in samples.read(range(row, row + 1)).items()}
        rows.setdefault(_key(feeds), row)
        for name, array in feeds.items():
            header = f"{name} float32 {[len(samples), *array.shape]}\n".encode()
            digests.setdefault(name, hashlib.sha256(header)).update(np.ascontiguousarray(array).tobytes())
    whole = hashlib.sha256()
    for digest in digests.values():
        whole.update(digest.digest())
    return rows, whole.hexdigest()


def _key(feeds: Mapping[str, NDArray[np.float32]]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(feeds):
        digest.update(np.ascontiguousarray(feeds[name], np.float32).tobytes())
    return digest.digest()


def _latency(run: LatencyRun, samples: Samples) -> Latency:
    timings = timings_of(run)
    return summarize_latency(
        [float_label(series.precision) if series.precision else QUANTIZED_LABEL for series in run.series],
        [series.precision or None for series in run.series],
        timings,
        Conditions(batch_size=run.batch_size, threads=run.threads or None, inputs=samples.origin),
        run.energy,
    )
