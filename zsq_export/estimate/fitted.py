"""The coefficients of the predictor. Written by ``tools/bench/estimate_benchmark.py --write``, not by hand.

Fitted on 270 cells of the evaluation assets: targets onnxruntime, openvino, tflite; calibrators
auto, prior, random; seeds 0, 1, 2; models
efficientnet_lite0_224, espcn_x3_224, fastestdet_352, ic_resnet8, kws_dscnn, mobilenetv1_075_224,
resnet20_akamaster, resnet20_chenyaofo, resnet56_akamaster, vit_d6_smmk47.
"""

from __future__ import annotations

from zsq_export.estimate.model import Fit

CLASSES = Fit(
    level=2.0537,
    per_radian=0.235,
    knots=(-1.8808, -0.8000, 0.5000),
    values=(-2.0565, -0.3026, 1.6870),
    slope=0.205,
    half_widths=(0.358, 1.293),
    coverage=0.98,
    cells=216,
    models=8,
)
VALUES = Fit(
    level=0.0000,
    per_radian=0.000,
    knots=(-1.8808, -0.8000, 0.5000),
    values=(-2.3299, 0.0000, 0.0000),
    slope=0.000,
    half_widths=(0.500, 0.500),
    coverage=1.00,
    cells=54,
    models=2,
)
