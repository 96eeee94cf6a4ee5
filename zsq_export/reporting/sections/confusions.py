"""Where the quantized model names another class: a small matrix, or a list where there are many classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.confusion import Confusion, ConfusionCell

_LARGEST_MATRIX = 20
_LONGEST_LIST = 12
_SHADES = 5


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the matrix: samples, and how strongly it is marked (0: not at all)."""

    samples: int
    shade: int
    same: bool


@dataclass(frozen=True, kw_only=True)
class ConfusionView:
    """Of one artifact.

    Attributes:
        entry: it belongs to.
        confusion: the counts.
        matrix: rows are the float model's classes; empty where there are too many.
        most: the most frequent disagreements.
        different: samples on which the two models differ.
        further: disagreements that are not in ``most``.
    """

    entry: Entry
    confusion: Confusion
    matrix: tuple[tuple[Cell, ...], ...]
    most: tuple[ConfusionCell, ...]
    different: int
    further: int


def confusion_views(entries: Sequence[Entry]) -> tuple[ConfusionView, ...]:
    """One per artifact with class scores."""
    found = ((entry, entry.report.confusion) for entry in entries)
    return tuple(_view(entry, confusion) for entry, confusion in found if confusion is not None)


def _view(entry: Entry, confusion: Confusion) -> ConfusionView:
    different = confusion.disagreements
    return ConfusionView(
        entry=entry,
        confusion=confusion,
        matrix=_matrix(confusion) if confusion.classes <= _LARGEST_MATRIX else (),
        most=different[:_LONGEST_LIST],
        different=sum(cell.samples for cell in different),
        further=max(0, len(different) - _LONGEST_LIST),
    )


def _matrix(confusion: Confusion) -> tuple[tuple[Cell, ...], ...]:
    counts = {(cell.float_class, cell.quantized_class): cell.samples for cell in confusion.cells}
    largest = max((cell.samples for cell in confusion.disagreements), default=1)
    classes = range(confusion.classes)
    return tuple(
        tuple(
            Cell(
                samples=counts.get((row, column), 0),
                shade=0 if row == column else _shade(counts.get((row, column), 0), largest),
                same=row == column,
            )
            for column in classes
        )
        for row in classes
    )


def _shade(samples: int, largest: int) -> int:
    return -(-samples * _SHADES // largest)
