"""Evidence for networks with LayerNorm: what it widens, what it leaves, and that ``auto`` takes it there only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from digits import SIDE, TRAIN_SAMPLES, digit_pixels, export, to_inputs
from layer_norm_net import train
from onnx_graphs import model, node, weights
from plans import prepared

from zsq_export.calib.auto import AutoCalibrator
from zsq_export.calib.base import CalibrationRequest, CalibrationResult, Effort
from zsq_export.calib.bn_inversion.evidence import behind_all
from zsq_export.calib.evidence import EvidenceCalibrator, border, normalisations
from zsq_export.calib.prior.calibrator import PriorCalibrator
from zsq_export.calib.score_margin import SURE_MARGIN, UNSURE_MARGIN
from zsq_export.errors import CalibrationError
from zsq_export.execution.collect import collect_statistics
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.prepared import PreparedModel

FAST = CalibrationRequest(effort=Effort.FAST)


def _write(folder: Path) -> None:
    pixels, labels = digit_pixels()
    net = train(to_inputs(pixels[:TRAIN_SAMPLES]), labels[:TRAIN_SAMPLES])
    export(net, torch.zeros(1, 1, SIDE, SIDE), folder / "m.onnx", keep_batchnorm=False)


@pytest.fixture(scope="module")
def layered(build_once: Callable[[str, Callable[[Path], None]], Path]) -> PreparedModel:
    return prepare_model(build_once("layer_norm", _write) / "m.onnx")


@pytest.fixture(scope="module")
def made(layered: PreparedModel) -> CalibrationResult:
    return EvidenceCalibrator().calibrate(layered, CalibrationRequest())


def spelt_out() -> ir.Model:
    """LayerNorm as the exporters of older operator sets write it."""
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        node("ReduceMean", ["h"], "mean", axes=[-1]), node("Sub", ["h", "mean"], "d"),
        node("Mul", ["d", "d"], "s"), node("ReduceMean", ["s"], "v", axes=[-1]),
        node("Add", ["v", "e"], "ve"), node("Sqrt", ["ve"], "r"), node("Div", ["d", "r"], "n", name="normalise"),
        node("MatMul", ["n", "u"], "y"),
    ]  # fmt: skip
    constants = {"w": weights(12, 8), "u": weights(8, 4), "e": np.array(1e-5, np.float32)}
    return model(nodes, constants, inputs={"x": ["n", 12]})


def test_the_scores_reach_as_far_as_on_real_data_and_nothing_before_the_last_norm_changes(
    layered: PreparedModel, made: CalibrationResult
) -> None:
    pixels, _ = digit_pixels()
    real = collect_statistics(layered.folded, {"x": to_inputs(pixels[TRAIN_SAMPLES:])})["logits"]
    prior = PriorCalibrator().calibrate(layered, CalibrationRequest())
    evident, plain = made.statistics["logits"], prior.statistics["logits"]
    assert evident.maximum / (1 + SURE_MARGIN) >= plain.maximum / (1 + UNSURE_MARGIN)
    assert evident.minimum <= plain.minimum
    assert 0.85 < (evident.maximum - evident.minimum) / (real.maximum - real.minimum) < 1.6
    behind = set(behind_all(layered, border(layered)))
    assert {"logits"} <= behind and len(behind) <= 3
    for name in set(made.statistics) - behind:
        assert made.statistics[name].maximum == prior.statistics[name].maximum


def test_the_driven_inputs_show_their_class(made: CalibrationResult) -> None:
    assert dict(made.provenance.final_losses)["class"] < np.log(10)
    assert made.inputs["x"].shape == (128, 1, SIDE, SIDE)
    assert made.inputs["x"].min() >= made.statistics["x"].minimum - 1e-6


def test_the_seed_decides(layered: PreparedModel) -> None:
    first, again, other = (
        EvidenceCalibrator().calibrate(layered, CalibrationRequest(effort=Effort.FAST, seed=seed)).inputs["x"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_auto_takes_it_for_layer_norm_without_attention(layered: PreparedModel, digits_model_folded: Any) -> None:
    found = AutoCalibrator().calibrate(layered, FAST)
    assert found.provenance.calibrator == "evidence"
    assert found.provenance.notes[0].endswith("used evidence")
    assert not any("PRESERVE" in note for note in found.provenance.notes)
    folded = AutoCalibrator().calibrate(prepare_model(digits_model_folded.path), FAST)
    assert folded.provenance.calibrator == "prior"


@pytest.mark.assets
def test_auto_keeps_to_the_prior_for_a_transformer(assets_dir: Path) -> None:
    transformer = prepare_model(assets_dir / "cifar10" / "vit_d6_smmk47.onnx")
    assert normalisations(transformer)
    result = AutoCalibrator().calibrate(transformer, CalibrationRequest(effort=Effort.FAST, samples=4))
    assert result.provenance.calibrator == "prior"


def test_a_norm_that_is_spelt_out_is_seen() -> None:
    ready = prepared(spelt_out())
    assert [item.name for item in normalisations(ready)] == ["normalise"]
    assert set(behind_all(ready, border(ready))) == {"n", "y"}


def test_it_says_what_it_needs() -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(4, 3, 3, 3)}, inputs={"x": ["n", 3, 16, 16]})
    with pytest.raises(CalibrationError, match="gives no class scores"):
        EvidenceCalibrator().calibrate(prepared(graph), FAST)
