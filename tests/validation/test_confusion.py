from __future__ import annotations

import numpy as np

from zsq_export.validation.confusion import ConfusionCell, ConfusionMeter
from zsq_export.validation.figures import InputOrigin


def one_hot(*classes: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[list(classes)]


def test_pairs_of_classes_are_counted_over_batches() -> None:
    meter = ConfusionMeter("logits", InputOrigin.REAL)
    meter.add(one_hot(0, 1, 1, 3), one_hot(0, 1, 2, 3))
    meter.add(one_hot(1, 0), one_hot(2, 3))
    found = meter.result()
    assert (found.classes, found.samples) == (4, 6)
    assert {(cell.float_class, cell.quantized_class): cell.samples for cell in found.cells} == {
        (0, 0): 1, (0, 3): 1, (1, 1): 1, (1, 2): 2, (3, 3): 1,
    }  # fmt: skip
    assert found.disagreements[0] == ConfusionCell(float_class=1, quantized_class=2, samples=2)
    assert len(found.disagreements) == 2


def test_a_score_that_is_no_number_names_no_class() -> None:
    meter = ConfusionMeter("logits", InputOrigin.REAL)
    broken = one_hot(2)
    broken[0, 0] = np.nan
    meter.add(one_hot(2), broken)
    assert meter.result().cells == (ConfusionCell(float_class=2, quantized_class=-1, samples=1),)
