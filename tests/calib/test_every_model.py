"""Every calibrator on every network of the assets: statistics for all tensors, or one sentence why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zsq_export.calib.base import CalibrationRequest, Effort
from zsq_export.calib.registry import calibrator_names, get_calibrator
from zsq_export.errors import CalibrationError
from zsq_export.graph.prepare import prepare_model

MODELS = (
    "cifar10/resnet20_akamaster", "cifar10/vit_d6_smmk47", "mlperf_tiny/kws_dscnn", "coco/fastestdet_352",
    "superres/espcn_x3_224",
)  # fmt: skip
"""One of each kind; tools/bench/sweep.py runs all from the shell."""

EVERYWHERE = {"auto", "prior", "random"}
WITH_BATCHNORM = {"bn-inversion", "moments"}
WITHOUT_BATCHNORM = {"vit_d6_smmk47", "espcn_x3_224"}
CHEAP = CalibrationRequest(effort=Effort.FAST, samples=2)


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_it_works_or_says_why_not(assets_dir: Path, name: str) -> None:
    model = prepare_model(assets_dir / f"{name}.onnx")
    worked = set()
    for calibrator in sorted(set(calibrator_names()) - {"data"}):
        chosen = get_calibrator(calibrator)
        try:
            result = chosen.calibrate(model, CHEAP)
        except CalibrationError as error:
            assert "\n" not in error.message and error.hint
            assert chosen.obstacle(model) or "convention" in error.message
            continue
        worked.add(calibrator)
        assert all(np.isfinite([seen.minimum, seen.maximum]).all() for seen in result.statistics.values())
    assert worked >= EVERYWHERE
    assert (Path(name).name in WITHOUT_BATCHNORM) != (worked >= WITH_BATCHNORM)
