"""COCO's mean average precision, through pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from zsq_export.errors import DataError, UsageError
from zsq_export.metrics.base import DataForm, Meter, MetricBatch, MetricValue, Outputs
from zsq_export.metrics.boxes import PictureBoxes
from zsq_export.metrics.detection.decode import Detections, decode
from zsq_export.metrics.detection.spec import ClassNumbers, DetectionSpec
from zsq_export.metrics.settings import read_settings

_DETAILS = ((1, "AP50"), (2, "AP75"), (3, "AP small"), (4, "AP medium"), (5, "AP large"), (8, "AR100"))
"""Place in pycocotools' statistics, and name."""


@dataclass(frozen=True, kw_only=True)
class CocoMap:
    """Average precision over IoU 0.50 to 0.95, mean over categories (Lin et al. 2014), in percent."""

    spec: DetectionSpec | None = None
    name: str = "coco-map"
    summary: str = "COCO mAP of boxes; needs a decode spec (coco-map=SPEC.json), COCO annotations and [coco]"
    unit: str = "%"
    higher_is_better: bool = True
    forms: frozenset[DataForm] = frozenset({DataForm.BOXES})

    def configured(self, raw: Mapping[str, Any]) -> Self:
        """With a decode spec."""
        return type(self)(spec=read_settings(DetectionSpec, raw))

    def meter(self) -> Meter:
        """A new meter for one model.

        Raises:
            UsageError: without a decode spec, or without pycocotools.
        """
        if self.spec is None:
            raise UsageError(
                "coco-map needs to know how outputs become boxes",
                hint="--metric coco-map=SPEC.json, see docs/metrics.md",
            )
        try:
            import pycocotools.cocoeval  # noqa: F401
        except ImportError as error:
            raise UsageError("coco-map needs pycocotools", hint="pip install 'zsq-export[coco]'") from error
        return _CocoMeter(self.spec)


class _CocoMeter:
    def __init__(self, spec: DetectionSpec) -> None:
        self._spec = spec
        self._pictures: list[PictureBoxes] = []
        self._found: list[dict[str, Any]] = []

    def add(self, outputs: Outputs, batch: MetricBatch) -> None:
        assert batch.targets is not None
        height, width = _input_sides(batch.inputs)
        for row, picture in enumerate(batch.targets):
            detections = decode(self._spec, {name: array[row] for name, array in outputs.items()}, height, width)
            self._pictures.append(picture)
            self._found += self._results(detections, picture)

    def result(self) -> MetricValue:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = _dataset(self._pictures)
            truth.createIndex()
            if not self._found:
                return MetricValue(value=0.0)
            evaluation = COCOeval(truth, truth.loadRes(self._found), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        figures = [100 * float(value) for value in evaluation.stats]
        details = tuple((name, figures[place]) for place, name in _DETAILS if figures[place] >= 0)
        return MetricValue(value=max(figures[0], 0.0), details=details)

    def _results(self, detections: Detections, picture: PictureBoxes) -> list[dict[str, Any]]:
        boxes = picture.geometry.to_picture(detections.boxes)
        sizes = boxes[:, 2:] - boxes[:, :2]
        categories = self._categories(detections, picture)
        return [
            {"image_id": picture.picture, "category_id": category, "bbox": [*box[:2], *size], "score": score}
            for box, size, category, score in zip(
                boxes.tolist(), sizes.tolist(), categories, detections.scores.tolist(), strict=True
            )
        ]

    def _categories(self, detections: Detections, picture: PictureBoxes) -> list[int]:
        classes: list[int] = detections.classes.tolist()
        if detections.numbers is ClassNumbers.CATEGORY:
            return classes
        known = self._spec.categories or picture.known
        outside = [index for index in classes if not 0 <= index < len(known)]
        if outside:
            raise DataError(
                f"coco-map: the model names class {outside[0]}, the data has {len(known)} categories",
                hint='say which category each class is, with "categories" in the spec',
            )
        return [known[index] for index in classes]


def _dataset(pictures: list[PictureBoxes]) -> dict[str, Any]:
    annotations = [
        {
            "id": 0, "image_id": picture.picture, "category_id": int(picture.categories[index]),
            "bbox": picture.boxes[index].tolist(), "area": float(picture.areas[index]),
            "iscrowd": int(picture.crowd[index]),
        }
        for picture in pictures
        for index in range(len(picture.boxes))
    ]  # fmt: skip
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    return {
        "info": {},
        "images": [{"id": each.picture, "width": each.width, "height": each.height} for each in pictures],
        "categories": [{"id": number} for number in (pictures[0].known if pictures else ())],
        "annotations": annotations,
    }


def _input_sides(inputs: Outputs) -> tuple[int, int]:
    shape = next((array.shape for array in inputs.values() if array.ndim == 4), None)
    if shape is None:
        raise DataError("coco-map needs an input of pictures [samples, channels, rows, columns]")
    rows, columns = shape[2:] if shape[1] in (1, 3) else shape[1:3]
    return int(rows), int(columns)
