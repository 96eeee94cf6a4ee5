"""Every network of the evaluation assets becomes an engine in every scheme."""

from __future__ import annotations

from pathlib import Path

import pytest
from trt_engines import needs_rtx, rtx

from zsq_export import CalibrationOptions, pipeline
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.tensorrt_gpu.layers import layers_from_json
from zsq_export.backends.tensorrt_gpu.lower import build_in_memory
from zsq_export.backends.tensorrt_gpu.rules import check_rules
from zsq_export.backends.tensorrt_gpu.runtime import import_library
from zsq_export.calib.saved import save_calibration
from zsq_export.graph.quantized import load_quantized
from zsq_export.planning.schemes import Scheme

pytestmark = [needs_rtx, pytest.mark.assets, pytest.mark.slow]
NETWORKS = (
    "cifar10/resnet20_akamaster", "cifar10/resnet56_akamaster", "cifar10/resnet20_chenyaofo", "cifar10/vit_d6_smmk47",
    "imagenet/efficientnet_lite0_224", "imagenet/mobilenetv1_075_224", "mlperf_tiny/ic_resnet8",
    "mlperf_tiny/kws_dscnn", "coco/fastestdet_352", "superres/espcn_x3_224",
)  # fmt: skip
LARGEST_RATIO = {"imagenet/efficientnet_lite0_224": 0.65}
NARROW = {Scheme.INT8: "i8", Scheme.FP8: "f8"}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_builds_in_every_scheme(name: str, assets_dir: Path, tmp_path: Path) -> None:
    file, saved = assets_dir / f"{name}.onnx", tmp_path / "calibration.npz"
    made = pipeline.calibrate(file, CalibrationOptions(calibrator="prior", samples=8))
    save_calibration(made.result, saved, made.prepared)
    sizes = {}
    for scheme in (Scheme.INT8, Scheme.FP8, Scheme.INT4_WEIGHT, Scheme.FP16):
        out = tmp_path / scheme.value
        conversion = pipeline.Conversion(
            model=file,
            targets=("tensorrt-rtx",),
            output=out,
            saved_calibration=saved,
            target_options=TargetOptions(scheme=scheme),
        )
        (artifact,) = pipeline.convert(conversion)
        sizes[scheme] = artifact.entry.stat().st_size
        assert check_rules(load_quantized(out / "qdq.onnx")) == ()
        layers = layers_from_json((out / "layers.json").read_text())
        total = sum(layer.macs for layer in layers)
        narrow = sum(layer.macs for layer in layers if layer.precision == NARROW.get(scheme))
        assert scheme not in NARROW or narrow > 0.75 * total > 0
    if name in LARGEST_RATIO:
        library = import_library(rtx().flavour)  # type: ignore[attr-defined]
        float32 = len(build_in_memory(library, made.prepared.folded, TargetOptions()))
        assert sizes[Scheme.INT8] <= LARGEST_RATIO[name] * float32
