"""Data with boxes, with target pictures, with masks, with arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zsq_export.errors import DataError
from zsq_export.graph.prepared import InputInfo
from zsq_export.metrics.base import DataForm
from zsq_export.preprocessing import ChannelOrder, Fit, Preprocessing
from zsq_export.validation.data import load_labelled
from zsq_export.validation.samples import Samples

INPUT = InputInfo(name="x", shape=(None, 3, 16, 16))
UNIT = Preprocessing(mean=(0.0,), std=(1.0,))
RNG = np.random.default_rng(0)


def save(path: Path, height: int = 16, width: int = 16) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def targets(samples: Samples) -> list[Any]:
    return [target for batch in samples.batches(2) for target in (batch.targets if batch.targets is not None else ())]


def coco(folder: Path, *, pictures: str = "images", name: str = "instances.json", **changes: Any) -> Path:
    for number in (9, 2):
        save(folder / pictures / f"{number}.png", 32, 64)
    raw = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 32} for n in (9, 2)],
        "categories": [{"id": 7}, {"id": 3}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 7, "bbox": [1, 2, 3, 4], "area": 5.0, "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 3, "bbox": [0, 0, 8, 8]},
        ],
    } | changes
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw))
    return path


def test_coco_annotations_are_found_in_their_folder_or_by_name(tmp_path: Path) -> None:
    path = coco(tmp_path)
    stretched = Preprocessing(mean=(0.0,), std=(1.0,), fit=Fit.STRETCH)
    for place in (tmp_path, path):
        samples = load_labelled(place, INPUT, stretched)
        assert samples.form is DataForm.BOXES and len(samples) == 2 and samples.used().labelled
        empty, full = targets(samples)
        assert (empty.picture, full.picture, len(empty.boxes)) == (2, 9, 0)
        assert full.boxes.tolist() == [[1, 2, 3, 4], [0, 0, 8, 8]] and full.areas.tolist() == [5, 64]
        assert full.known == (3, 7) and (full.geometry.scale_x, full.geometry.scale_y) == (0.25, 0.5)


def test_pictures_of_a_split_are_found_where_coco_puts_them(tmp_path: Path) -> None:
    coco(tmp_path, pictures="val2017", name="annotations/instances_val2017.json")
    assert len(load_labelled(tmp_path, INPUT, UNIT)) == 2


def test_what_is_wrong_with_annotations_is_said(tmp_path: Path) -> None:
    path = coco(tmp_path / "a", images=[{"id": 1, "file_name": "gone.png", "width": 4, "height": 4}])
    with pytest.raises(DataError, match=r"gone\.png, which is not there"):
        load_labelled(path, INPUT, UNIT)
    with pytest.raises(DataError, match="no annotation file"):
        load_labelled(coco(tmp_path / "b", annotations=[{"image_id": 9}]), INPUT, UNIT)
    coco(tmp_path / "c")
    coco(tmp_path / "c", name="other.json")
    with pytest.raises(DataError, match=r"several annotation files: instances\.json, other\.json"):
        load_labelled(tmp_path / "c", INPUT, UNIT)
    (tmp_path / "d.json").write_text("[]")
    with pytest.raises(DataError, match="no annotation file"):
        load_labelled(tmp_path / "d.json", INPUT, UNIT)


def test_some_of_the_samples_keep_what_is_known_of_them(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path / "input" / f"{number}.png")
        save(tmp_path / "target" / f"{number}.png")
        Image.new("RGB", (4, 4), (number * 10,) * 3).save(tmp_path / "target" / f"{number}.png")
    samples = load_labelled(tmp_path, INPUT, UNIT)
    shades = [round(float(target[0, 0, 0]) * 255) for target in targets(samples.spread(3))]
    assert shades == [0, 20, 40] and len(targets(samples.head(2))) == 2


def test_pairs_are_never_resized(tmp_path: Path) -> None:
    small = save(tmp_path / "input" / "a.png", 5, 7)
    large = save(tmp_path / "target" / "a.png", 15, 21)
    bgr = Preprocessing(mean=(0.0,), std=(1.0,), channel_order=ChannelOrder.BGR)
    samples = load_labelled(tmp_path, INPUT, bgr)
    (batch,) = samples.batches(4)
    assert samples.form is DataForm.PICTURES and batch.targets is not None
    assert batch.feeds["x"][0, :, :5, :7] == pytest.approx(small.transpose(2, 0, 1)[::-1] / 255)
    assert batch.targets[0] == pytest.approx(large.transpose(2, 0, 1)[::-1] / 255)
    save(tmp_path / "input" / "b.png", 17, 7)
    save(tmp_path / "target" / "b.png", 15, 21)
    with pytest.raises(DataError, match=r"b\.png has 7x17 pixels"):
        list(load_labelled(tmp_path, INPUT, bgr).batches(4))
    save(tmp_path / "input" / "c.png")
    with pytest.raises(DataError, match=r"lacks the counterpart of c\.png"):
        load_labelled(tmp_path, INPUT, bgr)


def test_masks_hold_a_class_per_pixel(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.jpg")
    mask = RNG.integers(0, 5, (16, 16), np.uint8)
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    samples = load_labelled(tmp_path, INPUT, UNIT)
    assert samples.form is DataForm.MASKS and np.array_equal(targets(samples)[0], mask)
    save(tmp_path / "masks" / "a.png")
    with pytest.raises(DataError, match="expected a grey or palette PNG"):
        targets(load_labelled(tmp_path, INPUT, UNIT))


def test_an_npz_may_hold_an_array_per_sample(tmp_path: Path) -> None:
    y = RNG.normal(size=(4, 2, 3)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 3, 16, 16), np.float32), y=y)
    samples = load_labelled(tmp_path / "a.npz", INPUT, None)
    assert samples.form is DataForm.VALUES and samples.labels is None
    assert np.array_equal(np.stack(targets(samples)), y)
    np.savez(tmp_path / "b.npz", x=np.zeros((4, 3, 16, 16), np.float32), y=y[:3])
    with pytest.raises(DataError, match="for each of 4 samples"):
        load_labelled(tmp_path / "b.npz", INPUT, None)
