"""The coefficients of the predictor. Written by ``tools/bench/estimate_benchmark.py --write``, not by hand.

Fitted on 79 cells of the evaluation assets: targets onnxruntime, openvino, tflite; calibrators
auto, prior, random; seeds 0; models
efficientnet_lite0_224, espcn_x3_224, ic_resnet8, kws_dscnn, mobilenetv1_075_224, resnet20_akamaster,
resnet20_chenyaofo, resnet56_akamaster, vit_d6_smmk47.
"""

from __future__ import annotations

from zsq_export.estimate.model import Fit

CLASSES = Fit(
    knots=(-1.8808, -0.8000, 0.5000, 1.4000, 2.4000),
    values=(-2.2009, -0.2934, 1.9303, 2.1284, 2.4391),
    half_widths=(0.620, 0.676),
    coverage=0.96,
    cells=70,
    models=8,
)
VALUES = Fit(
    knots=(-1.8808, 3.2905),
    values=(-1.6580, 3.5134),
    half_widths=(0.372, 1.000),
    coverage=1.00,
    cells=9,
    models=1,
)
