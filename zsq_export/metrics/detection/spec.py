"""How outputs decode to boxes: the typed form of the decode spec, a JSON file. See docs/metrics.md for examples."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Activation(StrEnum):
    """What is applied to a raw number first."""

    NONE = "none"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    EXP = "exp"
    SOFTMAX = "softmax"


class Layout(StrEnum):
    """How an output holds its predictions, the axis of samples left out.

    GRID: [fields, rows, columns]. GRID_LAST: [rows, columns, fields]. ROWS: [predictions, fields]. COLUMNS: [fields,
    predictions].
    """

    GRID = "grid"
    GRID_LAST = "grid-last"
    ROWS = "rows"
    COLUMNS = "columns"


class BoxForm(StrEnum):
    """What the four numbers of a box are.

    CENTER: x and y of the centre, width, height. CORNERS: left, top, right, bottom. CORNERS_YX: top, left, bottom,
    right. CORNER: left, top, width, height. SIDES: distances from the middle of the cell to left, top, right and
    bottom.
    """

    CENTER = "center"
    CORNERS = "corners"
    CORNERS_YX = "corners-yx"
    CORNER = "corner"
    SIDES = "sides"


class Unit(StrEnum):
    """What a length is measured in: pixels of the input, its sides, cells of the grid, or the anchor's sides."""

    PIXELS = "pixels"
    INPUT = "input"
    CELL = "cell"
    ANCHOR = "anchor"


class Classes(StrEnum):
    """How many classes one prediction may stand for: its best one, or every one above the threshold."""

    BEST = "best"
    EVERY = "every"


class ClassNumbers(StrEnum):
    """What decoded class numbers are: indices of the data's sorted categories, or its category numbers themselves."""

    INDEX = "index"
    CATEGORY = "category"


@dataclass(frozen=True, kw_only=True)
class Transform:
    """``(activation(x) · scale + offset) ^ power``.

    Attributes:
        activation: applied first; softmax goes over the classes.
        scale, offset, power: applied after it.
    """

    activation: Activation = Activation.NONE
    scale: float = 1.0
    offset: float = 0.0
    power: float = 1.0


_IDENTITY = Transform()


@dataclass(frozen=True, kw_only=True)
class Score:
    """Numbers that say how sure a prediction is.

    Attributes:
        field: index of the objectness, or of the first class.
        count: of classes; None: all fields from ``field`` on.
        transform: applied to them.
    """

    field: int
    count: int | None = None
    transform: Transform = _IDENTITY


@dataclass(frozen=True, kw_only=True)
class Box:
    """Where the box of a prediction lies.

    Attributes:
        field: index of the first of its four numbers.
        form: what they are.
        position: transform of x and y (of all four, for corners and sides).
        position_unit: of what comes out.
        from_cell: x and y count from the top left of the prediction's cell, in cells.
        size: transform of width and height.
        size_unit: of what comes out.
    """

    field: int = 0
    form: BoxForm = BoxForm.CENTER
    position: Transform = _IDENTITY
    position_unit: Unit = Unit.PIXELS
    from_cell: bool = False
    size: Transform = _IDENTITY
    size_unit: Unit = Unit.PIXELS


@dataclass(frozen=True, kw_only=True)
class Head:
    """One output with raw predictions.

    Attributes:
        output: its name; None: the first one.
        layout: how it holds its predictions.
        box: where their boxes lie.
        classes: their class scores; None: there is one class.
        objectness: multiplies the class scores; None: there is none.
        strides: pixels per cell of the grids that rows or columns run over, one after the other; a grid knows its own.
        anchors: width and height in pixels; a grid's fields are repeated for each of them.
    """

    layout: Layout
    box: Box
    classes: Score | None = None
    objectness: Score | None = None
    output: str | None = None
    strides: tuple[int, ...] = ()
    anchors: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Outputs that hold boxes already.

    Attributes:
        boxes: name of the output [.., predictions, 4].
        scores: name of the output [.., predictions], or [.., predictions, classes] where ``classes`` is None.
        classes: name of the output with class numbers [.., predictions].
        count: name of the output with the number of predictions that are valid; None: all are.
        form: of the boxes; center, corners, corners-yx or corner.
        unit: pixels of the input, or its sides.
        class_numbers: what class numbers are.
        first_class: number of the first class: 1 where 0 is the background.
    """

    boxes: str
    scores: str
    classes: str | None = None
    count: str | None = None
    form: BoxForm = BoxForm.CORNERS
    unit: Unit = Unit.PIXELS
    class_numbers: ClassNumbers = ClassNumbers.INDEX
    first_class: int = 0


@dataclass(frozen=True, kw_only=True)
class DetectionSpec:
    """From outputs to boxes.

    Attributes:
        heads: outputs with raw predictions.
        decoded: outputs with boxes; exactly one of the two is given.
        categories: number of the data's category for each class; empty: the data's categories in sorted order.
        score_threshold: predictions below are dropped.
        classes: how many classes one prediction may stand for.
        candidates: best predictions of one picture that are looked at.
        nms_iou: of two boxes of one class that overlap more, the less sure one is dropped; None: no suppression.
        most: boxes per picture.
    """

    heads: tuple[Head, ...] = ()
    decoded: Decoded | None = None
    categories: tuple[int, ...] = ()
    score_threshold: float = 0.001
    classes: Classes = Classes.BEST
    candidates: int = 5000
    nms_iou: float | None = 0.6
    most: int = 100

    def __post_init__(self) -> None:
        if bool(self.heads) == (self.decoded is not None):
            raise ValueError("spec needs either heads or decoded")
        for head in self.heads:
            _check(head)


def _check(head: Head) -> None:
    gridded = head.layout in (Layout.GRID, Layout.GRID_LAST)
    needs_cells = head.box.from_cell or head.box.form is BoxForm.SIDES or Unit.CELL in (
        head.box.position_unit, head.box.size_unit,
    )  # fmt: skip
    if needs_cells and not gridded and not head.strides:
        raise ValueError(f"spec.heads: boxes in cells need a grid, or strides for {head.layout.value}")
    if gridded and head.strides:
        raise ValueError("spec.heads: a grid knows its own strides")
    if Unit.ANCHOR is head.box.size_unit and not head.anchors:
        raise ValueError("spec.heads: boxes in anchors need anchors")
    if head.anchors and not gridded:
        raise ValueError("spec.heads: anchors need a grid")
    if head.box.position.activation is Activation.SOFTMAX or head.box.size.activation is Activation.SOFTMAX:
        raise ValueError("spec.heads: softmax is for classes")
