"""Where the quantized model names another class than the float model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from zsq_export.validation.comparison import FloatArray, top_class
from zsq_export.validation.figures import InputOrigin


@dataclass(frozen=True, kw_only=True)
class ConfusionCell:
    """Samples for which the two models name these classes.

    Attributes:
        float_class, quantized_class: index of the largest score; -1 where a score is not a number.
        samples: how many.
    """

    float_class: int
    quantized_class: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Classes named by the float model against classes named by the quantized model.

    Attributes:
        output: the class scores that were used.
        classes: how many there are.
        cells: that are not empty, by class; equal classes included.
        samples: of all cells.
        inputs: real or synthetic.
    """

    output: str
    classes: int
    cells: tuple[ConfusionCell, ...]
    samples: int
    inputs: InputOrigin

    @property
    def disagreements(self) -> tuple[ConfusionCell, ...]:
        """Cells with two different classes, most samples first."""
        different = (cell for cell in self.cells if cell.float_class != cell.quantized_class)
        return tuple(sorted(different, key=lambda cell: (-cell.samples, cell.float_class, cell.quantized_class)))


class ConfusionMeter:
    """Counts pairs of classes, batch by batch."""

    def __init__(self, output: str, inputs: InputOrigin) -> None:
        self._output = output
        self._inputs = inputs
        self._classes = 0
        self._pairs: Counter[tuple[int, int]] = Counter()

    def add(self, scores: FloatArray, quantized: FloatArray) -> None:
        """Adds one batch of class scores, [samples, classes] each."""
        self._classes = scores.shape[1]
        self._pairs.update(zip(top_class(scores).tolist(), top_class(quantized).tolist(), strict=True))

    def result(self) -> Confusion:
        """The counts over all batches."""
        cells = tuple(
            ConfusionCell(float_class=first, quantized_class=second, samples=count)
            for (first, second), count in sorted(self._pairs.items())
        )
        return Confusion(
            output=self._output,
            classes=self._classes,
            cells=cells,
            samples=self._pairs.total(),
            inputs=self._inputs,
        )
