from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsq_export.errors import DataError, UsageError
from zsq_export.metrics.base import MetricBatch, MetricValue
from zsq_export.metrics.boxes import PictureBoxes
from zsq_export.metrics.detection.coco_map import CocoMap
from zsq_export.metrics.detection.decode import decode
from zsq_export.metrics.detection.nms import overlap, suppress
from zsq_export.metrics.detection.spec import DetectionSpec
from zsq_export.metrics.settings import read_settings
from zsq_export.placing import Geometry

RNG = np.random.default_rng(0)
SAME = Geometry(scale_x=1.0, scale_y=1.0, left=0.0, top=0.0)
DECODED = {"decoded": {"boxes": "boxes", "scores": "scores", "classes": "classes"}}


def spec(raw: dict[str, Any]) -> DetectionSpec:
    return read_settings(DetectionSpec, raw)


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def test_a_grid_decodes_cell_by_cell() -> None:
    """Against plain loops: objectness, centre from the cell, sizes of the input, best class."""
    raw = RNG.normal(size=(8, 3, 4)).astype(np.float32)
    found = decode(
        spec(
            {
                "heads": [
                    {
                        "layout": "grid",
                        "objectness": {"field": 0, "transform": {"activation": "sigmoid", "power": 0.6}},
                        "box": {
                            "field": 1, "from_cell": True, "position": {"activation": "tanh"}, "position_unit": "cell",
                            "size": {"activation": "sigmoid"}, "size_unit": "input",
                        },
                        "classes": {"field": 5, "transform": {"activation": "softmax"}},
                    }
                ],
                "nms_iou": None,
                "score_threshold": 0.0,
            }
        ),
        {"out": raw},
        96,
        160,
    )  # fmt: skip
    expected = []
    for y in range(3):
        for x in range(4):
            fields = raw[:, y, x]
            shares = np.exp(fields[5:]) / np.exp(fields[5:]).sum()
            cx, cy = (np.tanh(fields[1]) + x) * 160 / 4, (np.tanh(fields[2]) + y) * 96 / 3
            w, h = sigmoid(fields[3]) * 160, sigmoid(fields[4]) * 96
            score = sigmoid(fields[0]) ** 0.6 * shares.max()
            expected.append((score, shares.argmax(), cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    expected.sort(reverse=True)
    assert found.scores == pytest.approx([row[0] for row in expected])
    assert found.classes.tolist() == [row[1] for row in expected]
    assert found.boxes == pytest.approx(np.array([row[2:] for row in expected]), rel=1e-4)


def test_fields_may_come_last() -> None:
    raw = RNG.normal(size=(5, 3, 4)).astype(np.float32)
    gridded = {"box": {"from_cell": True, "position_unit": "cell"}, "classes": {"field": 4}}
    plain = {"box": {}, "classes": {"field": 4}}
    for head, arrays in (
        (gridded, {"grid": raw, "grid-last": raw.transpose(1, 2, 0)}),
        (plain, {"rows": raw.reshape(5, 12).T, "columns": raw.reshape(5, 12)}),
    ):
        first, last = (
            decode(spec({"heads": [{"layout": layout, **head}], "score_threshold": -1e9}), {"out": array}, 96, 160)
            for layout, array in arrays.items()
        )
        assert np.array_equal(first.boxes, last.boxes) and np.array_equal(first.scores, last.scores)
        assert len(first.boxes)


def test_rows_over_several_strides_decode_like_yolox() -> None:
    raw = RNG.normal(size=(4 * 4 + 2 * 2, 7)).astype(np.float32)
    head = {
        "layout": "rows", "strides": [8, 16], "objectness": {"field": 4}, "classes": {"field": 5},
        "box": {"from_cell": True, "position_unit": "cell", "size": {"activation": "exp"}, "size_unit": "cell"},
    }  # fmt: skip
    listed = {"heads": [head], "nms_iou": None, "score_threshold": -1e9, "classes": "every"}
    found = decode(spec(listed), {"out": raw}, 32, 32)
    assert len(found.boxes) == 2 * 20
    row = 16 + 3  # the second grid's cell at x = 1, y = 1
    x, y, w, h, sure, first, _ = raw[row]
    box = [(x + 1) * 16, (y + 1) * 16, np.exp(w) * 16, np.exp(h) * 16]
    at = int(np.flatnonzero(np.isclose(found.scores, float(sure) * float(first)))[0])
    assert found.boxes[at, :2] + found.boxes[at, 2:] == pytest.approx(2 * np.array(box[:2]), rel=1e-5)
    assert found.boxes[at, 2:] - found.boxes[at, :2] == pytest.approx(box[2:], rel=1e-5)
    with pytest.raises(DataError, match="do not fit strides"):
        decode(spec(listed), {"out": raw[:-1]}, 32, 32)


def test_anchors_repeat_the_fields_of_a_grid() -> None:
    raw = RNG.normal(size=(2 * 6, 2, 2)).astype(np.float32)
    head = {
        "layout": "grid", "anchors": [[10, 20], [30, 5]], "objectness": {"field": 4}, "classes": {"field": 5},
        "box": {
            "from_cell": True, "position": {"activation": "sigmoid", "scale": 2, "offset": -0.5},
            "position_unit": "cell", "size": {"activation": "sigmoid", "scale": 2, "power": 2}, "size_unit": "anchor",
        },
    }  # fmt: skip
    found = decode(spec({"heads": [head], "nms_iou": None, "score_threshold": -1e9}), {"out": raw}, 16, 16)
    fields = raw.reshape(2, 6, 2, 2)[1, :, 1, 0]
    at = int(np.flatnonzero(np.isclose(found.scores, float(fields[4]) * float(fields[5])))[0])
    size = np.array([(2 * sigmoid(fields[2])) ** 2 * 30, (2 * sigmoid(fields[3])) ** 2 * 5])
    middle = np.array([2 * sigmoid(fields[0]) - 0.5, 2 * sigmoid(fields[1]) - 0.5 + 1]) * 8
    assert found.boxes[at] == pytest.approx(np.concatenate([middle - size / 2, middle + size / 2]), rel=1e-5)


def test_distances_to_the_sides_count_from_the_middle_of_the_cell() -> None:
    raw = np.zeros((5, 2, 2), np.float32)
    raw[:, 1, 0] = [1, 0.5, 2, 3, 0.9]
    head = {"layout": "grid", "box": {"form": "sides", "position_unit": "cell"}, "classes": {"field": 4}}
    found = decode(spec({"heads": [head]}), {"out": raw}, 8, 8)
    assert found.boxes.tolist() == [[2 - 4, 6 - 2, 2 + 8, 6 + 12]]


@pytest.mark.parametrize(
    ("form", "numbers"),
    [("corners", [1, 2, 4, 6]), ("corners-yx", [2, 1, 6, 4]), ("corner", [1, 2, 3, 4]), ("center", [2.5, 4, 3, 4])],
)
def test_decoded_boxes_in_every_form(form: str, numbers: list[float]) -> None:
    raw = {"decoded": {**DECODED["decoded"], "form": form, "unit": "input", "count": "n", "first_class": 1}}
    outputs = {
        "boxes": np.float32([numbers, [0] * 4, [0] * 4]) / 10,
        "scores": np.float32([0.9, 0.8, 0.7]),
        "classes": np.float32([3, 1, 1]),
        "n": np.float32(1),
    }
    found = decode(spec(raw), outputs, 10, 10)
    assert found.boxes == pytest.approx(np.array([[1, 2, 4, 6]]), rel=1e-6) and found.classes.tolist() == [2]


def test_scores_of_every_class_name_the_best_one() -> None:
    raw = {"decoded": {"boxes": "boxes", "scores": "scores"}}
    outputs = {"boxes": np.float32([[0, 0, 1, 1]]), "scores": np.float32([[0.1, 0.7, 0.2]])}
    found = decode(spec(raw), outputs, 10, 10)
    assert found.classes.tolist() == [1] and found.scores == pytest.approx([0.7])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 25), st.floats(0.1, 0.9))
def test_suppression_is_the_plain_one(seed: int, count: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 10, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 8, (count, 2))], axis=1)
    classes = rng.integers(0, 2, count)
    kept: list[int] = []
    for index in range(count):
        rivals = [other for other in kept if classes[other] == classes[index]]
        if all(overlap(boxes[other], boxes[index : index + 1])[0] <= iou for other in rivals):
            kept.append(index)
    assert suppress(boxes, classes, iou).tolist() == kept


def test_overlap_is_intersection_over_union() -> None:
    found = overlap(np.array([0.0, 0, 2, 2]), np.array([[1.0, 0, 3, 2], [0, 0, 2, 2], [5, 5, 6, 6], [0, 0, 0, 0]]))
    assert found == pytest.approx([1 / 3, 1, 0, 0])
    assert overlap(np.zeros(4), np.zeros((1, 4))) == 0


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "either heads or decoded"),
        ({"heads": [{"layout": "rows", "box": {"from_cell": True}}]}, "need a grid, or strides"),
        ({"heads": [{"layout": "grid", "box": {"size_unit": "anchor"}}]}, "need anchors"),
        ({"heads": [{"layout": "ring", "box": {}}]}, "spec.heads\\[0\\].layout is 'ring'"),
        ({"heads": [{"layout": "grid", "box": {}, "stride": 8}]}, "unknown field 'stride'"),
        ({"heads": [{"layout": "grid"}]}, "lacks 'box'"),
        ({**DECODED, "most": "100"}, "spec.most is str"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused_by_name(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(raw)


def picture(number: int, boxes: list[list[float]], categories: list[int], geometry: Geometry = SAME) -> PictureBoxes:
    array = np.array(boxes, np.float64).reshape(-1, 4)
    return PictureBoxes(
        picture=number, width=100, height=100, geometry=geometry, boxes=array,
        categories=np.array(categories, np.int64), areas=array[:, 2] * array[:, 3],
        crowd=np.zeros(len(array), np.bool_), known=(3, 7, 20),
    )  # fmt: skip


def mean_precision(
    raw: dict[str, Any], pictures: list[PictureBoxes], rows: list[tuple[list[float], float, int]]
) -> MetricValue:
    """Every picture gets the same predictions."""
    pytest.importorskip("pycocotools", reason="the extra [coco] is not installed")
    meter = CocoMap().configured(raw).meter()
    boxes, scores, classes = (np.float32([row[part] for row in rows]) for part in range(3))
    outputs = {"boxes": boxes.reshape(-1, 4), "scores": scores, "classes": classes}
    stacked = {name: np.stack([array] * len(pictures)) for name, array in outputs.items()}
    inputs = {"x": np.zeros((len(pictures), 3, 100, 100), np.float32)}
    meter.add(stacked, MetricBatch(inputs=inputs, targets=pictures, reference={}))
    return meter.result()


def test_perfect_boxes_have_a_perfect_score_and_none_have_none() -> None:
    truth = [picture(5, [[10, 10, 40, 40], [60, 60, 20, 20]], [7, 20])]
    right = [([10, 10, 50, 50], 0.9, 1), ([60, 60, 80, 80], 0.8, 2)]
    found = mean_precision(DECODED, truth, right)
    assert found.value == pytest.approx(100) and dict(found.details)["AP50"] == pytest.approx(100)
    assert mean_precision(DECODED, truth, [([0, 0, 5, 5], 0.9, 1)]).value == 0
    assert mean_precision(DECODED, truth, [([10, 10, 50, 50], 0.0, 1)]).value == 0
    half = mean_precision(DECODED, truth, right[:1])
    assert half.value == pytest.approx(50)


def test_boxes_are_taken_back_to_the_picture() -> None:
    geometry = Geometry(scale_x=0.5, scale_y=2.0, left=3.0, top=-4.0)
    truth = [picture(1, [[10, 10, 40, 40]], [3], geometry)]
    assert mean_precision(DECODED, truth, [([8, 16, 28, 96], 0.9, 0)]).value == pytest.approx(100)


def test_classes_may_be_category_numbers_or_named_in_the_spec() -> None:
    truth = [picture(1, [[10, 10, 40, 40]], [7])]
    box = [10.0, 10, 50, 50]
    numbered = {"decoded": {**DECODED["decoded"], "class_numbers": "category"}}
    assert mean_precision(numbered, truth, [(box, 0.9, 7)]).value == pytest.approx(100)
    assert mean_precision({**DECODED, "categories": [7, 3]}, truth, [(box, 0.9, 0)]).value == pytest.approx(100)
    with pytest.raises(DataError, match="names class 3"):
        mean_precision(DECODED, truth, [(box, 0.9, 3)])


def test_without_a_spec_or_pycocotools_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"coco-map=SPEC\.json"):
        CocoMap().meter()
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    with pytest.raises(UsageError, match=r"zsq-export\[coco\]"):
        CocoMap().configured(DECODED).meter()
