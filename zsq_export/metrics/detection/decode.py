"""Outputs of one picture to boxes, as a decode spec says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsq_export.errors import DataError
from zsq_export.metrics.detection.boxes import Floats, Place, applied, corners
from zsq_export.metrics.detection.nms import suppress
from zsq_export.metrics.detection.spec import Box, Classes, ClassNumbers, Decoded, DetectionSpec, Head, Layout
from zsq_export.metrics.settings import pick_output

Outputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """Boxes of one picture, most certain first.

    Attributes:
        boxes: float64 [n, 4], left, top, right, bottom in pixels of the input.
        scores: float64 [n].
        classes: int64 [n], see ``numbers``.
        numbers: what the classes are.
    """

    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]
    numbers: ClassNumbers = ClassNumbers.INDEX


def decode(spec: DetectionSpec, outputs: Outputs, height: int, width: int) -> Detections:
    """Boxes on one picture.

    Args:
        spec: how.
        outputs: of one picture, without the axis of samples.
        height, width: of the input.

    Raises:
        DataError: an output has another shape than the spec says.
    """
    if spec.decoded is not None:
        found = _read_decoded(spec.decoded, outputs, height, width)
    else:
        parts = [_decode_head(head, outputs, height, width) for head in spec.heads]
        boxes, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        found = _classified(boxes, scores, spec.classes)
    return _kept(spec, found)


def _kept(spec: DetectionSpec, found: Detections) -> Detections:
    finite = np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.scores)
    order = np.flatnonzero(finite & (found.scores > spec.score_threshold))
    order = order[np.argsort(-found.scores[order], kind="stable")][: spec.candidates]
    if spec.nms_iou is not None:
        order = order[suppress(found.boxes[order], found.classes[order], spec.nms_iou)]
    order = order[: spec.most]
    return Detections(
        boxes=found.boxes[order], scores=found.scores[order], classes=found.classes[order], numbers=found.numbers
    )


def _classified(boxes: Floats, scores: Floats, rule: Classes) -> Detections:
    if rule is Classes.BEST:
        best = scores.argmax(axis=1)
        return Detections(boxes=boxes, scores=np.take_along_axis(scores, best[:, None], 1)[:, 0], classes=best)
    rows = np.repeat(np.arange(len(scores)), scores.shape[1])
    classes = np.tile(np.arange(scores.shape[1]), len(scores))
    return Detections(boxes=boxes[rows], scores=scores.reshape(-1), classes=classes)


def _decode_head(head: Head, outputs: Outputs, height: int, width: int) -> tuple[Floats, Floats]:
    """Boxes [n, 4] and class scores [n, classes] of one output."""
    raw = np.asarray(pick_output(outputs, head.output, "coco-map"), np.float64)
    fields, cells, sides, anchors = _predictions(head, raw, height, width)
    boxes = corners(head.box, fields, Place(cells=cells, cell=sides, anchor=anchors, height=height, width=width))
    return boxes, _class_scores(head, fields)


def _class_scores(head: Head, fields: Floats) -> Floats:
    if head.classes is None:
        scores = np.ones((len(fields), 1))
    else:
        stop = None if head.classes.count is None else head.classes.field + head.classes.count
        scores = applied(head.classes.transform, fields[:, head.classes.field : stop])
        if not scores.shape[1]:
            raise DataError(
                f"coco-map: predictions of {fields.shape[1]} fields have no class scores", hint="see the spec"
            )
    if head.objectness is not None:
        first = head.objectness.field
        scores = scores * applied(head.objectness.transform, fields[:, first : first + 1])
    return scores


def _predictions(head: Head, raw: Floats, height: int, width: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Fields [n, fields]; and of each prediction its cell (x, y), the cell's sides and the anchor's, all [n, 2]."""
    wanted = 3 if head.layout in (Layout.GRID, Layout.GRID_LAST) else 2
    if raw.ndim != wanted:
        raise DataError(
            f"coco-map: an output {list(raw.shape)} of one picture is no {head.layout.value}",
            hint=f"expected {wanted} axes besides the samples",
        )
    if wanted == 2:
        fields = raw if head.layout is Layout.ROWS else raw.T
        cells, sides = _listed_cells(head.strides, len(fields), height, width)
        return fields, cells, sides, np.ones((len(fields), 2))
    grid = raw if head.layout is Layout.GRID else raw.transpose(2, 0, 1)
    anchors = np.array(head.anchors or [(1.0, 1.0)])
    channels, rows, columns = grid.shape
    if channels % len(anchors):
        raise DataError(f"coco-map: {channels} fields cannot be divided among {len(anchors)} anchors")
    fields = (
        grid.reshape(len(anchors), -1, rows * columns).transpose(0, 2, 1).reshape(len(anchors) * rows * columns, -1)
    )
    y, x = np.divmod(np.arange(rows * columns), columns)
    cells = np.tile(np.stack([x, y], 1).astype(np.float64), (len(anchors), 1))
    sides = np.broadcast_to([width / columns, height / rows], cells.shape)
    return fields, cells, sides, np.repeat(anchors, rows * columns, axis=0)


def _listed_cells(strides: tuple[int, ...], count: int, height: int, width: int) -> tuple[Floats, Floats]:
    if not strides:
        return np.zeros((count, 2)), np.ones((count, 2))
    cells, sides = [], []
    for stride in strides:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.divmod(np.arange(rows * columns), columns)
        cells.append(np.stack([x, y], 1).astype(np.float64))
        sides.append(np.full((rows * columns, 2), float(stride)))
    total = sum(len(part) for part in cells)
    if total != count:
        raise DataError(f"coco-map: {count} predictions do not fit strides {list(strides)}, which make {total}")
    return np.concatenate(cells), np.concatenate(sides)


def _read_decoded(spec: Decoded, outputs: Outputs, height: int, width: int) -> Detections:
    boxes = np.asarray(pick_output(outputs, spec.boxes, "coco-map"), np.float64).reshape(-1, 4)
    scores = np.asarray(pick_output(outputs, spec.scores, "coco-map"), np.float64)
    if spec.classes is None:
        listed = _classified(boxes, scores.reshape(len(boxes), -1), Classes.BEST)
        scores, classes = listed.scores, listed.classes
    else:
        scores = scores.reshape(-1)
        classes = np.rint(pick_output(outputs, spec.classes, "coco-map")).astype(np.int64).reshape(-1)
    if not len(boxes) == len(scores) == len(classes):
        raise DataError(f"coco-map: {len(boxes)} boxes, {len(scores)} scores and {len(classes)} classes on one picture")
    valid = len(boxes)
    if spec.count is not None:
        valid = int(np.rint(pick_output(outputs, spec.count, "coco-map")).reshape(-1)[0])
    identity = Box(form=spec.form, position_unit=spec.unit, size_unit=spec.unit)
    place = Place(cells=np.zeros((1, 2)), cell=np.ones((1, 2)), anchor=np.ones((1, 2)), height=height, width=width)
    return Detections(
        boxes=corners(identity, boxes, place)[:valid],
        scores=scores[:valid],
        classes=classes[:valid] - spec.first_class,
        numbers=spec.class_numbers,
    )
