"""One pass over the data: the quantized model on its device against the float model in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zsq_export.errors import ArtifactError
from zsq_export.metrics.base import Metric, MetricBatch
from zsq_export.metrics.results import MetricResult
from zsq_export.metrics.running import MetricRun
from zsq_export.progress import Progress
from zsq_export.validation.accuracy import AccuracyMeter
from zsq_export.validation.comparison import OutputMeter, class_scores
from zsq_export.validation.confusion import Confusion, ConfusionMeter
from zsq_export.validation.figures import Accuracy, InputOrigin, OutputFidelity
from zsq_export.validation.running import Outputs, Run, run_padded
from zsq_export.validation.samples import Batch, Samples


@dataclass(frozen=True, kw_only=True)
class OutputFigures:
    """What one pass over the data gives.

    Attributes:
        outputs: per graph output, in the model's order.
        accuracy: None without labels or class scores.
        confusion: None without class scores.
        metrics: that were asked for.
    """

    outputs: tuple[OutputFidelity, ...]
    accuracy: Accuracy | None
    confusion: Confusion | None
    metrics: tuple[MetricResult, ...] = ()


class OutputComparison:
    """Collects the figures of every output, batch by batch."""

    def __init__(self, inputs: InputOrigin) -> None:
        self._inputs = inputs
        self._meters: dict[str, OutputMeter] = {}
        self._accuracy: AccuracyMeter | None = None
        self._confusion: ConfusionMeter | None = None

    def add(self, reference: Outputs, other: Outputs, batch: Batch) -> None:
        """Adds the outputs of one batch.

        Raises:
            ArtifactError: an output is missing or has another shape than the reference.
            DataError: a label that the model has no class for.
        """
        for name, expected in reference.items():
            _check_output(name, expected.shape, other)
            self._meters.setdefault(name, OutputMeter(name, self._inputs)).add(expected, other[name])
        self._add_scores(reference, other, batch)

    def result(self) -> OutputFigures:
        """The figures over all batches."""
        return OutputFigures(
            outputs=tuple(meter.result() for meter in self._meters.values()),
            accuracy=None if self._accuracy is None else self._accuracy.result(),
            confusion=None if self._confusion is None else self._confusion.result(),
        )

    def _add_scores(self, reference: Outputs, other: Outputs, batch: Batch) -> None:
        scored = ((name, class_scores(array)) for name, array in reference.items())
        name, scores = next(((name, scores) for name, scores in scored if scores is not None), ("", None))
        if scores is None:
            return
        quantized = other[name].reshape(scores.shape)
        self._confusion = self._confusion or ConfusionMeter(name, self._inputs)
        self._confusion.add(scores, quantized)
        if batch.labels is not None:
            self._accuracy = self._accuracy or AccuracyMeter(name, self._inputs)
            self._accuracy.add(scores, quantized, batch.labels)


def measure_outputs(
    reference: Run,
    quantized: Run,
    samples: Samples,
    batch_size: int,
    progress: Progress,
    metrics: Sequence[Metric] = (),
) -> OutputFigures:
    """Compares two models on all samples.

    Args:
        reference: the float model.
        quantized: the quantized one.
        samples: inputs, with labels where accuracy is wanted.
        batch_size: samples per run.
        progress: told what is being done and how far it is.
        metrics: to measure of both models.

    Raises:
        DataError: a metric needs other data, or cannot use the outputs.
    """
    comparison = OutputComparison(samples.origin)
    measured = MetricRun(metrics, samples.origin, samples.form)
    done = 0
    for batch in samples.batches(batch_size):
        expected, found = (run_padded(run, batch.feeds, batch_size) for run in (reference, quantized))
        comparison.add(expected, found, batch)
        measured.add(expected, found, MetricBatch(inputs=batch.feeds, targets=batch.targets, reference=expected))
        done += batch_size
        progress("comparing outputs", min(1.0, done / len(samples)))
    return replace(comparison.result(), metrics=measured.result())


def _check_output(name: str, shape: tuple[int, ...], other: Outputs) -> None:
    if name not in other:
        raise ArtifactError(f"the artifact has no output {name!r}, only: {', '.join(other)}", hint="convert it again")
    if other[name].shape != shape:
        raise ArtifactError(
            f"output {name!r} of the artifact has shape {list(other[name].shape)}, the float model's has {list(shape)}",
            hint="convert the model again",
        )
