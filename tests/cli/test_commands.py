"""What each command does when all is well, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zsq_export.backends.base import Probe
from zsq_export.backends.onnxruntime_cpu import OnnxRuntimeCpu
from zsq_export.cli.preprocessing_options import parse_preprocessing
from zsq_export.preprocessing import ChannelOrder, Preprocessing

Run = Callable[..., Any]
RANDOM = ("--calibrator", "random", "-t", "onnxruntime")


@pytest.fixture
def model(work: Path, digits_model: Any) -> Path:
    path = work / "digits.onnx"
    path.write_bytes(digits_model.path.read_bytes())
    return path


@pytest.fixture
def artifact(here: Run, model: Path, work: Path, digits_model: Any) -> Path:
    np.savez(work / "train.npz", x=digits_model.x_train_pixels[:50])
    arguments = ("--calibrator", "data", "--data", "train.npz", "--input-range", "-1..1", "-t", "onnxruntime")
    assert here("convert", model.name, *arguments, "-o", "out").code == 0
    return work / "out"


def test_convert_says_what_it_did_and_what_to_do_next(here: Run, model: Path, work: Path) -> None:
    outcome = here("convert", model.name, *RANDOM, "--mean", "0.5", "--std", "0.5", "--seed", "7")
    assert outcome.code == 0
    assert outcome.out == ""
    assert "calibrated with random, 1 samples, seed 7" in outcome.err
    assert "input convention: custom: (pixel/255 - [0.5]) / [0.5], RGB, given" in outcome.err
    assert "note: random noise" in outcome.err
    assert "onnxruntime: digits-onnxruntime (68.7 kB ->" in outcome.err
    assert outcome.err.endswith("next: zsq-export validate digits-onnxruntime\n")
    assert (work / "digits-onnxruntime" / "manifest.json").is_file()


def test_convert_with_json_and_several_targets(here: Run, model: Path, work: Path) -> None:
    outcome = here("convert", model.name, *RANDOM, "-t", "openvino", "--json", "-q")
    assert outcome.err == ""
    entries = json.loads(outcome.out)["artifacts"]
    assert [entry["folder"] for entry in entries] == ["digits-zsq/onnxruntime", "digits-zsq/openvino"]
    assert all((work / entry["entry"]).is_file() for entry in entries)
    assert entries[0]["manifest"]["target"] == "onnxruntime"
    parent = here("validate", "digits-zsq")
    assert "give one of: digits-zsq/onnxruntime, digits-zsq/openvino" in parent.error()


def test_every_stage_from_the_shell(here: Run, model: Path, work: Path) -> None:
    calibrated = here("calibrate", model.name, "--calibrator", "random", "-o", "cal.npz")
    assert "next: zsq-export convert digits.onnx --calibration cal.npz" in calibrated.err
    planned = here("plan", model.name, "-t", "onnxruntime", "--calibration", "cal.npz", "-o", "plan.json")
    assert "next: zsq-export convert digits.onnx --target onnxruntime --plan plan.json" in planned.err
    given = ("--calibration", "cal.npz", "--plan", "plan.json")
    assert here("convert", model.name, "-t", "onnxruntime", *given, "-o", "resumed").code == 0
    assert here("convert", model.name, *RANDOM, "-o", "direct").code == 0
    for name in ("qdq.onnx", "plan.json", "model.onnx"):
        assert (work / "resumed" / name).read_bytes() == (work / "direct" / name).read_bytes()


def test_layers_that_are_to_stay_float(here: Run, model: Path, work: Path) -> None:
    assert here("plan", model.name, *RANDOM, "-o", "all.json").code == 0
    planned = json.loads((work / "all.json").read_text())
    last = planned["tensors"][-1]["uses"][0]["node"]
    assert here("convert", model.name, *RANDOM, "--leave-float", last, "-o", "kept").code == 0
    kept = json.loads((work / "kept" / "plan.json").read_text())
    assert {"node": last, "reason": "it was to stay float"}.items() <= kept["float_ops"][-1].items()
    assert len(kept["tensors"]) < len(planned["tensors"])
    assert json.loads((work / "kept" / "manifest.json").read_text())["options"]["left_float"] == last
    assert (
        "no node of the model is called 'nothing'"
        in here("convert", model.name, *RANDOM, "--leave-float-from", "nothing", "-o", "no").error()
    )
    assert not (work / "no").exists()
    refused = here("convert", model.name, "-t", "onnxruntime", "--plan", "all.json", "--leave-float", last)
    assert "--leave-float has no effect beside --plan" in refused.error()


def test_the_scheme_is_recorded_and_refused_where_a_target_has_none(here: Run, model: Path, work: Path) -> None:
    assert here("convert", model.name, *RANDOM, "--scheme", "int8", "-o", "out").code == 0
    assert json.loads((work / "out" / "plan.json").read_text())["scheme"] == "int8"
    assert json.loads((work / "out" / "manifest.json").read_text())["options"]["scheme"] == "int8"
    for command in ("convert", "plan"):
        refused = here(command, model.name, *RANDOM, "--scheme", "fp8", "-o", "other")
        assert refused.code == 2
        assert "onnxruntime has no scheme fp8 (it has int8)" in refused.error()
    assert "no shape" in here("convert", model.name, *RANDOM, "--max-shape", "x=3,4").error()
    assert "--max-shape" in here("convert", model.name, *RANDOM, "--max-shape", "x=3x4").error()


def test_a_plan_keeps_its_scheme(here: Run, model: Path, work: Path) -> None:
    assert here("plan", model.name, *RANDOM, "-o", "plan.json").code == 0
    given = ("-t", "onnxruntime", "--plan", "plan.json")
    assert "not made for --scheme fp16" in here("convert", model.name, *given, "--scheme", "fp16").error()
    text = (work / "plan.json").read_text()
    (work / "plan.json").write_text(text.replace('"scheme": "int8"', '"scheme": "fp8"'))
    assert "no scheme fp8" in here("convert", model.name, *given).error()
    (work / "plan.json").write_text(text.replace('"settings": {}', '"settings": {"io": "float"}'))
    assert "no option --io" in here("convert", model.name, *given).error()


def test_calibrate_and_plan_with_json_and_default_names(here: Run, model: Path, work: Path) -> None:
    calibrated = json.loads(here("calibrate", model.name, "--calibrator", "random", "--json").out)
    assert calibrated["file"] == "digits.calibration.npz"
    assert calibrated["provenance"]["calibrator"] == "random"
    planned = json.loads(here("plan", model.name, *RANDOM, "--json", "-v").out)
    assert planned["file"] == "digits-onnxruntime.plan.json"
    assert planned["tensors"] > 10
    for command, name in (("calibrate", calibrated["file"]), ("plan", planned["file"])):
        before = (work / name).read_bytes()
        extra = () if command == "calibrate" else ("-t", "onnxruntime")
        assert "exists already" in here(command, model.name, "--calibrator", "random", *extra).error()
        assert (work / name).read_bytes() == before


def test_validate_writes_the_report_and_passes_its_gates(
    here: Run, artifact: Path, work: Path, digits_model: Any
) -> None:
    np.savez(work / "test.npz", x=digits_model.x_pixels, y=digits_model.y_test)
    gates = ("--min-agreement", "97", "--max-accuracy-drop", "2")
    outcome = here("validate", "out", "--data", "test.npz", *gates, "--no-latency", "--json", "-q")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert report["passed"] is True
    assert json.loads((artifact / "report.json").read_text()) == report
    assert "<html" in (artifact / "report.html").read_text()
    again = here("report", "out", "--json", "-q")
    assert json.loads(again.out) == report


def test_validate_measures_what_it_is_asked_for(here: Run, artifact: Path, work: Path, digits_model: Any) -> None:
    np.savez(work / "test.npz", x=digits_model.x_pixels, y=digits_model.y_test)
    code = "def mine(outputs, targets, inputs):\n    return next(iter(outputs.values())).argmax(1) == targets\n"
    (work / "mine.py").write_text(code)
    asked = ("--metric", "mse", "--metric", "top1", "--metric", "mine.py:mine")
    outcome = here("validate", "out", "--data", "test.npz", *asked, "--max-drop", "0", "--no-latency", "--json")
    assert outcome.code == 3 and "gate max-accuracy-drop failed" in outcome.err
    report = json.loads(outcome.out)
    mse, top1, mine = report["metrics"]
    assert mse["float_value"] == 0 and mse["drop"] > 0
    assert top1["float_value"] == pytest.approx(report["accuracy"]["top1_float"])
    assert mine["quantized_value"] == pytest.approx(top1["quantized_value"] / 100)
    page = (artifact / "report.html").read_text()
    assert "<td>mse</td>" in page and "<td>mine</td>" in page


def test_metrics_that_cannot_be_meant_end_before_anything_runs(here: Run, artifact: Path) -> None:
    assert "did you mean psnr?" in here("validate", "out", "--metric", "psrn").error()
    assert here("validate", "out", "--metric", "nowhere.py:f").code == 2
    assert "needs samples with classes, there are none" in here("validate", "out", "--metric", "top1").error()


def test_a_failed_gate_is_exit_code_3_with_the_report_written(here: Run, artifact: Path) -> None:
    outcome = here("validate", "out", "--min-agreement", "100", "--min-speedup", "1000", "--batch-size", "2", "--json")
    assert outcome.code == 3
    assert outcome.err.splitlines()[-1].startswith("error: gate")
    assert "min-speedup" in outcome.err.splitlines()[-1]
    assert json.loads(outcome.out)["passed"] is False
    assert (artifact / "report.json").is_file()


def test_a_missing_runtime_is_exit_code_4(here: Run, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Probe(available=False, runtime="", device="", hint="pip install it")
    monkeypatch.setattr(OnnxRuntimeCpu, "probe", lambda _self: missing)
    outcome = here("validate", "out")
    assert outcome.code == 4
    assert outcome.error() == "the target onnxruntime cannot run here (pip install it)"
    outcome = here("convert", "digits.onnx", *RANDOM, "-o", "new")
    assert outcome.code == 4
    assert outcome.error() == "the runtime of target onnxruntime is missing (pip install it)"


def test_a_moved_model_has_to_be_named(here: Run, artifact: Path, model: Path) -> None:
    model.rename(model.with_name("moved.onnx"))
    outcome = here("validate", "out", "--no-latency")
    assert "the float model is no longer at" in outcome.error()
    assert "--model" in outcome.error()
    assert here("validate", "out", "--no-latency", "--model", "moved.onnx").code == 0


def test_a_changed_artifact_is_not_validated(here: Run, artifact: Path) -> None:
    (artifact / "model.onnx").write_bytes(b"else")
    assert "was changed" in here("validate", "out").error()
    assert "was changed" in here("report", "out").error()


def test_no_report_yet(here: Run, artifact: Path) -> None:
    assert here("report", "out").error() == "out has no report yet (measure it with `zsq-export validate out`)"


def test_inspect_says_what_applies_and_what_stays_float(here: Run, model: Path) -> None:
    outcome = here("inspect", model.name, "-t", "onnxruntime", "--json")
    inspection = json.loads(outcome.out)
    assert inspection["opset"] == 17
    assert inspection["inputs"] == [{"name": "x", "dtype": "float", "shape": [None, 1, 16, 16]}]
    assert inspection["batchnorms"] > 0
    assert inspection["hint"] == ""
    assert inspection["macs"] > inspection["parameters"] > 1000
    assert [target["name"] for target in inspection["targets"]] == ["onnxruntime"]
    assert {"random", "data"} <= {entry["name"] for entry in inspection["calibrators"] if not entry["obstacle"]}
    text = here("inspect", model.name, "-v").err
    assert "BatchNorm layers" in text
    assert "openvino:" in text


def test_inspect_tells_how_to_keep_batchnorm(here: Run, digits_model_folded: Any) -> None:
    text = here("inspect", digits_model_folded.path).err
    assert "do_constant_folding=False" in text
    assert "dynamo=True, optimize=False" in text


def test_doctor_and_targets(here: Run) -> None:
    doctor = here("doctor")
    assert doctor.code == 0
    assert "onnxruntime" in doctor.err
    assert "openvino" in here("targets").err


def test_doctor_fails_where_nothing_can_run(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from zsq_export import health, listing

    missing = Probe(available=False, runtime="", device="", hint="pip install it")
    gone = tuple(replace(target, probe=missing) for target in listing.list_targets())
    monkeypatch.setattr(health, "list_targets", lambda: gone)
    monkeypatch.setattr(health, "package_version", lambda name: "" if name == "onnxscript" else "1")
    outcome = here("doctor")
    assert outcome.code == 1
    assert "error: the package onnxscript is missing (pip install onnxscript)" in outcome.err
    assert "error: the target openvino cannot run here (pip install it)" in outcome.err


def test_quiet_and_verbose(here: Run, model: Path) -> None:
    assert here("convert", model.name, *RANDOM, "-q").err == ""
    assert "lowering for onnxruntime" in here("convert", model.name, *RANDOM, "-v", "--overwrite").err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None, None, False, None), None),
        ((None, None, "0..1", False, None), Preprocessing(mean=(0,), std=(1,), name="0..1")),
        ((None, None, "-1..1", False, None), Preprocessing(mean=(0.5,), std=(0.5,), name="-1..1")),
        (
            (None, None, "0..255", True, None),
            Preprocessing(mean=(0,), std=(1 / 255,), name="0..255", channel_order=ChannelOrder.BGR),
        ),
        (("0.1,0.2,0.3", "0.5", None, False, None), Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.5,))),
    ],
)
def test_conventions_from_options(given: Any, expected: Preprocessing | None) -> None:
    assert parse_preprocessing(*given) == expected


def test_a_saved_convention_is_read_back(here: Run, artifact: Path, model: Path, work: Path) -> None:
    spec = "out/preprocessing.json"
    assert here("convert", model.name, *RANDOM, "--preprocessing", spec, "-o", "again").code == 0
    assert (work / "again" / "preprocessing.json").read_text() == (artifact / "preprocessing.json").read_text()
    both = here("convert", model.name, *RANDOM, "--preprocessing", spec, "--mean", "0.5", "--std", "1")
    assert "exclude each other" in both.error()


def test_inspect_judges_a_quantized_model(here: Run, model: Path, work: Path) -> None:
    assert here("convert", model.name, *RANDOM, "-o", "out").code == 0
    said = here("inspect", "out/qdq.onnx", "-t", "tensorrt", "-t", "openvino")
    assert said.code == 0
    assert "zero-point" in said.err
    assert "openvino: it has no rules" in said.err
    found = json.loads(here("inspect", "out/qdq.onnx", "--json").out)
    assert {report["name"] for report in found["targets"]} == {"tensorrt", "tensorrt-rtx"}
    violation = found["targets"][0]["violations"][0]
    assert violation["node"]
    assert violation["rule"]
