"""Detection data: a COCO annotation file and its pictures."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zsq_export.errors import DataError
from zsq_export.imaging import PictureSize
from zsq_export.metrics.boxes import PictureBoxes
from zsq_export.placing import geometry_of
from zsq_export.preprocessing import Preprocessing

_HINT = "expected COCO's instances JSON with images, annotations and categories"


@dataclass(frozen=True, kw_only=True, eq=False)
class CocoPictures:
    """Files, and what is known of each."""

    files: tuple[Path, ...]
    boxes: tuple[PictureBoxes, ...]


def find_annotations(folder: Path) -> Path | None:
    """The COCO annotation file of a data set: the only .json in its folder, or in ``annotations/``, that is one.

    Raises:
        DataError: there are several.
    """
    candidates = sorted(folder.glob("*.json")) or sorted((folder / "annotations").glob("*.json"))
    found = [path for path in candidates if _is_coco(path)]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder} holds several annotation files: {names}", hint="give one of them as --data")
    return found[0] if found else None


def read_coco(path: Path, size: PictureSize, preprocessing: Preprocessing) -> CocoPictures:
    """Reads an annotation file and finds its pictures.

    They are looked for beside the file, in ``images/`` there or one level up, and in a folder one level up that is
    named like the split (``val2017`` for ``annotations/instances_val2017.json``).

    Args:
        path: the annotation file.
        size: of the model's input.
        preprocessing: how pictures come to that size.

    Raises:
        DataError: it is no such file, or a picture is missing.
    """
    raw = _read(path)
    try:
        known = tuple(sorted(int(entry["id"]) for entry in raw["categories"]))
        objects: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in raw["annotations"]:
            objects[int(annotation["image_id"])].append(annotation)
        pictures = sorted(raw["images"], key=lambda entry: int(entry["id"]))
        files = tuple(_find_picture(path, str(entry["file_name"])) for entry in pictures)
        boxes = tuple(_boxes(entry, objects[int(entry["id"])], known, size, preprocessing) for entry in pictures)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no annotation file: {error!r}", hint=_HINT) from error
    if not files:
        raise DataError(f"{path} lists no pictures", hint=_HINT)
    return CocoPictures(files=files, boxes=boxes)


def _boxes(
    entry: Mapping[str, Any],
    objects: Sequence[Mapping[str, Any]],
    known: tuple[int, ...],
    size: PictureSize,
    preprocessing: Preprocessing,
) -> PictureBoxes:
    width, height = int(entry["width"]), int(entry["height"])
    boxes = np.array([each["bbox"] for each in objects], np.float64).reshape(-1, 4)
    areas = [float(each.get("area", box[2] * box[3])) for each, box in zip(objects, boxes, strict=True)]
    return PictureBoxes(
        picture=int(entry["id"]),
        width=width,
        height=height,
        geometry=geometry_of(width, height, size, preprocessing),
        boxes=boxes,
        categories=np.array([each["category_id"] for each in objects], np.int64),
        areas=np.array(areas, np.float64),
        crowd=np.array([bool(each.get("iscrowd", 0)) for each in objects], np.bool_),
        known=known,
    )


def _find_picture(path: Path, name: str) -> Path:
    folder = path.parent
    split = path.stem.rpartition("_")[2]
    places = (folder, folder / "images", folder.parent / "images", folder.parent / split)
    found = next((place / name for place in places if (place / name).is_file()), None)
    if found is None:
        raise DataError(
            f"{path} lists the picture {name}, which is not there",
            hint=f"put the pictures into {folder / 'images'}",
        )
    return found


def _is_coco(path: Path) -> bool:
    try:
        raw = _read(path)
    except DataError:
        return False
    return {"images", "annotations", "categories"} <= raw.keys()


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}", hint=_HINT) from error
    if not isinstance(raw, dict):
        raise DataError(f"{path} is no annotation file", hint=_HINT)
    return raw
