"""The figures of the assets' manifest, through ``validate --metric``."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zsq_export
from zsq_export.options import CalibrationOptions
from zsq_export.preprocessing import ChannelOrder, Fit, Fitting, Interpolation, Preprocessing
from zsq_export.validation.report_types import ValidationReport

pytestmark = [pytest.mark.assets, pytest.mark.slow]

FASTESTDET = {
    "heads": [
        {
            "layout": "grid",
            "objectness": {"field": 0, "transform": {"power": 0.6}},
            "box": {
                "field": 1, "from_cell": True,
                "position": {"activation": "tanh"}, "position_unit": "cell",
                "size": {"activation": "sigmoid"}, "size_unit": "input",
            },
            "classes": {"field": 5, "transform": {"power": 0.4}},
        }
    ],
    "nms_iou": 0.45,
}  # fmt: skip
SET5 = ("baby", "bird", "butterfly", "head", "woman")
FACTOR = 3


def validated(
    model: Path, work: Path, data: Path, metric: str, preprocessing: Preprocessing, fitting: Fitting | None = None
) -> ValidationReport:
    options = CalibrationOptions(calibrator="random", samples=4, preprocessing=preprocessing)
    zsq_export.convert(model, targets=["onnxruntime"], output=work / "out", calibration=options)
    return zsq_export.validate(work / "out", data=data, metrics=[metric], latency=None, fitting=fitting)


def test_fastestdet_has_the_map_of_the_manifest(assets_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="the extra [coco] is not installed")
    with zipfile.ZipFile(assets_dir / "coco" / "coco_val2017_158.zip") as archive:
        archive.extractall(tmp_path / "coco")
    (tmp_path / "fastestdet.json").write_text(json.dumps(FASTESTDET))
    report = validated(
        assets_dir / "coco" / "fastestdet_352.onnx",
        tmp_path,
        tmp_path / "coco",
        f"coco-map={tmp_path / 'fastestdet.json'}",
        Preprocessing(mean=(0.0,), std=(1.0,), channel_order=ChannelOrder.BGR),
        fitting=Fitting(fit=Fit.STRETCH, interpolation=Interpolation.OPENCV_LINEAR),
    )
    (metric,) = report.metrics
    details = {detail.name: detail.float_value for detail in metric.details}
    assert metric.samples == 158 and metric.float_value == pytest.approx(15.5, abs=0.1)
    assert details["AP50"] == pytest.approx(30.0, abs=0.2)


def test_espcn_has_the_psnr_of_the_manifest(assets_dir: Path, tmp_path: Path) -> None:
    for name in SET5:
        picture = Image.open(assets_dir / "superres" / f"{name}.png").convert("L")
        small = (picture.width // FACTOR, picture.height // FACTOR)
        target = picture.crop((0, 0, small[0] * FACTOR, small[1] * FACTOR))
        for folder, image in (("target", target), ("input", target.resize(small, Image.Resampling.BICUBIC))):
            (tmp_path / "set5" / folder).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "set5" / folder / f"{name}.png")
    model = assets_dir / "superres" / "espcn_x3_224.onnx"
    (tmp_path / "psnr.json").write_text(json.dumps({"border": FACTOR, "levels": None}))
    metric_text = f"psnr={tmp_path / 'psnr.json'}"
    report = validated(model, tmp_path, tmp_path / "set5", metric_text, Preprocessing(mean=(0.0,), std=(1.0,)))
    (metric,) = report.metrics
    assert metric.samples == len(SET5) and metric.float_value == pytest.approx(29.31, abs=0.005)
    assert metric.drop == pytest.approx(metric.float_value - metric.quantized_value) and np.isfinite(metric.drop)
