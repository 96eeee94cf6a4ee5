"""From file to validated artifact on a trained network, stopped, saved, edited and resumed at every stage."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import zsq_export
from zsq_export import CalibrationOptions, Gates, PlanOptions
from zsq_export.calib.base import Effort
from zsq_export.calib.saved import load_calibration, save_calibration
from zsq_export.errors import ArtifactError, CalibrationError, PlanError, UsageError
from zsq_export.execution import covariance
from zsq_export.graph.prepare import prepare_model
from zsq_export.pipeline import Conversion, calibrating
from zsq_export.planning import planner
from zsq_export.planning.plan_json import plan_to_json
from zsq_export.rounding import correction
from zsq_export.verification import held_out_inputs

TARGETS = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def real(digits_model: Any, tmp_path_factory: pytest.TempPathFactory) -> CalibrationOptions:
    """Calibration on real digits: accurate, and independent of the synthetic calibrators."""
    path = tmp_path_factory.mktemp("data") / "train.npz"
    np.savez(path, x=digits_model.x_train_pixels[:100])
    return CalibrationOptions(calibrator="data", data=path, preprocessing=digits_model.preprocessing)


@pytest.fixture(scope="module")
def labelled(digits_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "test.npz"
    np.savez(path, x=digits_model.x_pixels, y=digits_model.y_test)
    return path


@pytest.fixture(scope="module")
def saved(digits_model: Any, real: CalibrationOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibration") / "digits.npz"
    zsq_export.calibrate(digits_model.path, output=path, calibration=real)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def without(files: dict[str, bytes], names: Iterable[str]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name not in set(names)}


@pytest.fixture(scope="module")
def converted(digits_model: Any, real: CalibrationOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "out"
    zsq_export.convert(digits_model.path, targets=TARGETS, output=out, calibration=real)
    return out


@pytest.mark.parametrize("target", TARGETS)
def test_an_artifact_of_real_data_is_as_good_as_the_float_model(converted: Path, labelled: Path, target: str) -> None:
    report = zsq_export.validate(converted / target, data=labelled, gates=Gates(min_agreement=98), latency=None)
    assert report.passed
    assert report.accuracy is not None
    assert report.accuracy.drop <= 1
    assert report.outputs[0].sqnr_db > 20
    assert report.executed.int8_mac_share is not None
    assert report.executed.int8_mac_share > 0.9
    assert {"report.json", "report.html"} <= set(contents(converted / target))
    zsq_export.read_artifact(converted / target)


def test_without_data_held_out_pictures_are_used_and_said_so(converted: Path) -> None:
    report = zsq_export.validate(converted / "onnxruntime", latency=None)
    assert report.inputs.origin.value == "synthetic held-out"
    assert not report.inputs.labelled
    assert "synthetic" in (converted / "onnxruntime" / "report.html").read_text()


def test_held_out_inputs_depend_on_the_seed_and_follow_the_convention(digits_model: Any, converted: Path) -> None:
    prepared = prepare_model(digits_model.path)
    artifact = zsq_export.read_artifact(converted / "openvino")
    first = held_out_inputs(prepared, artifact, samples=4)["x"]
    np.testing.assert_array_equal(first, held_out_inputs(prepared, artifact, samples=4)["x"])
    other = replace(artifact, manifest=replace(artifact.manifest, seed=1))
    assert not np.array_equal(first, held_out_inputs(prepared, other, samples=4)["x"])
    assert first.shape == (4, 1, 16, 16)
    assert -1 <= first.min() < 0 < first.max() <= 1


def test_the_folder_holds_what_the_manifest_says(converted: Path, digits_model: Any) -> None:
    artifact = zsq_export.read_artifact(converted / "openvino")
    manifest = artifact.manifest
    names = {record.name for record in manifest.files}
    assert {"plan.json", "qdq.onnx", "preprocessing.json", "model.xml"} <= names
    assert manifest.model.path == str(digits_model.path.resolve())
    assert manifest.inputs[0].shape == (None, 1, 16, 16)
    assert manifest.calibration.samples == 100
    assert dict(manifest.options)["calibrator"] == "data"
    ops = {node.op_type for node in onnx.load(artifact.folder / "qdq.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= ops
    assert "BatchNormalization" not in ops


def test_the_same_seed_gives_the_same_bytes(
    digits_model: Any, real: CalibrationOptions, converted: Path, tmp_path: Path
) -> None:
    zsq_export.convert(digits_model.path, targets=TARGETS, output=tmp_path / "again", calibration=real)
    reports = [f"{target}/{name}" for target in TARGETS for name in ("report.json", "report.html")]
    assert without(contents(tmp_path / "again"), reports) == without(contents(converted), reports)


def test_the_same_seed_gives_the_same_bytes_in_another_process(digits_model: Any, tmp_path: Path) -> None:
    for hash_seed in ("1", "2"):
        arguments = ["convert", str(digits_model.path), "-t", "openvino", "--calibrator", "random", "-o", hash_seed]
        subprocess.run(
            [sys.executable, "-m", "zsq_export", *arguments],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            check=True,
            capture_output=True,
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_another_seed_gives_other_ranges(digits_model: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        options = CalibrationOptions(calibrator="random", seed=seed)
        zsq_export.convert(digits_model.path, targets=["openvino"], output=tmp_path / str(seed), calibration=options)
    assert contents(tmp_path / "0")["plan.json"] != contents(tmp_path / "1")["plan.json"]


def test_one_calibration_serves_all_targets(digits_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, gatherings = [], []
    calibrate, collect = calibrating.calibrate, covariance.collect_covariances
    monkeypatch.setattr(calibrating, "calibrate", lambda *given: calls.append(given) or calibrate(*given))
    monkeypatch.setattr(covariance, "collect_covariances", lambda *given: gatherings.append(given) or collect(*given))
    options = CalibrationOptions(calibrator="random")
    artifacts = zsq_export.convert(digits_model.path, targets=TARGETS, output=tmp_path / "out", calibration=options)
    assert [artifact.folder.name for artifact in artifacts] == list(TARGETS)
    assert len(calls) == len(gatherings) == 1


def test_stopping_after_calibration_and_after_planning_changes_nothing(
    digits_model: Any, converted: Path, saved: Path, real: CalibrationOptions, tmp_path: Path
) -> None:
    plan = zsq_export.plan(digits_model.path, target="openvino", saved_calibration=saved)
    (tmp_path / "plan.json").write_text(plan_to_json(plan))
    direct = contents(converted / "openvino")
    for name, given in {"both": {"saved_calibration": saved}, "plan": {"calibration": real}}.items():
        zsq_export.convert(
            digits_model.path, targets=["openvino"], output=tmp_path / name, saved_plan=tmp_path / "plan.json", **given
        )
        resumed = contents(tmp_path / name)
        for file in ("model.xml", "model.bin", "qdq.onnx", "plan.json"):
            assert resumed[file] == direct[file], file


def test_a_plan_that_rounds_without_inputs_needs_no_calibration(
    digits_model: Any, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "calibrate", lambda *_: pytest.fail("calibrated"))
    nearest = PlanOptions(rounding="nearest")
    plan = zsq_export.plan(digits_model.path, target="openvino", saved_calibration=saved, planning=nearest)
    (tmp_path / "plan.json").write_text(plan_to_json(plan))
    zsq_export.convert(
        digits_model.path, targets=["openvino"], output=tmp_path / "out", saved_plan=tmp_path / "plan.json"
    )
    assert zsq_export.read_artifact(tmp_path / "out").manifest.calibration.calibrator == "none"


def test_a_plan_whose_scales_were_learned_is_not_learned_again(
    digits_model: Any, saved: Path, real: CalibrationOptions, tmp_path: Path
) -> None:
    planning = PlanOptions(rounding="adaround", rounding_steps=1, weights_bits=4)
    zsq_export.convert(
        digits_model.path, targets=["onnxruntime"], output=tmp_path / "a", calibration=real, planning=planning
    )
    again = tmp_path / "a" / "plan.json"
    with pytest.raises(PlanError, match="learned together with integers"):
        zsq_export.convert(
            digits_model.path, targets=["onnxruntime"], output=tmp_path / "b", calibration=real, saved_plan=again
        )
    plan = zsq_export.plan(digits_model.path, target="onnxruntime", saved_calibration=saved, planning=planning)
    (tmp_path / "plan.json").write_text(plan_to_json(plan))
    given = {"calibration": real, "saved_plan": tmp_path / "plan.json"}
    zsq_export.convert(digits_model.path, targets=["onnxruntime"], output=tmp_path / "c", **given)


def test_an_edited_plan_is_obeyed(digits_model: Any, saved: Path, tmp_path: Path) -> None:
    plan = zsq_export.plan(digits_model.path, target="onnxruntime", saved_calibration=saved)
    node = next(use.node for item in plan.tensors if item.role.value == "weight" for use in item.uses)
    edited = tuple(item for item in plan.tensors if all(use.node != node for use in item.uses))
    assert len(edited) < len(plan.tensors)
    (tmp_path / "plan.json").write_text(plan_to_json(replace(plan, tensors=edited)))
    zsq_export.convert(
        digits_model.path, targets=["onnxruntime"], output=tmp_path / "out", saved_plan=tmp_path / "plan.json"
    )
    graph = onnx.load(tmp_path / "out" / "qdq.onnx").graph
    weight = next(entry.input[1] for entry in graph.node if entry.name == node)
    assert weight in {tensor.name for tensor in graph.initializer}


def test_an_equalized_calibration_is_resumed_as_such(
    digits_model: Any, real: CalibrationOptions, tmp_path: Path
) -> None:
    options = replace(real, equalize=True)
    planning = PlanOptions(bias_correction=True)
    zsq_export.convert(
        digits_model.path, targets=["onnxruntime"], output=tmp_path / "a", calibration=options, planning=planning
    )
    zsq_export.calibrate(digits_model.path, output=tmp_path / "cal.npz", calibration=options)
    zsq_export.convert(
        digits_model.path,
        targets=["onnxruntime"],
        output=tmp_path / "b",
        saved_calibration=tmp_path / "cal.npz",
        planning=planning,
    )
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first["qdq.onnx"] == second["qdq.onnx"]
    assert json.loads(first["plan.json"])["equalized"] is True
    report = zsq_export.validate(tmp_path / "b", latency=None)
    assert report.layers is not None
    assert report.layers.layers[0].sqnr_db > 10


def test_biases_are_corrected_once_after_the_weights_are_rounded(
    digits_model: Any, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    for module in (planner, correction):
        original = module.bias_corrections
        monkeypatch.setattr(module, "bias_corrections", lambda *given, of=original: counted.append(1) or of(*given))
    zsq_export.convert(digits_model.path, targets=TARGETS[:1], output=tmp_path / "out", saved_calibration=saved)
    assert len(counted) == 1
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["bias_corrections"]


def test_plan_and_calibration_have_to_agree(digits_model: Any, saved: Path, tmp_path: Path) -> None:
    plan = zsq_export.plan(digits_model.path, target="onnxruntime", saved_calibration=saved)
    (tmp_path / "plan.json").write_text(plan_to_json(replace(plan, equalized=True)))
    with pytest.raises(PlanError, match="disagree"):
        zsq_export.convert(
            digits_model.path,
            targets=["onnxruntime"],
            output=tmp_path / "out",
            saved_plan=tmp_path / "plan.json",
            saved_calibration=saved,
        )
    assert not (tmp_path / "out").exists()


def test_a_calibration_of_another_model_is_refused(digits_model_folded: Any, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="another model"):
        zsq_export.convert(
            digits_model_folded.path, targets=["openvino"], output=tmp_path / "out", saved_calibration=saved
        )
    assert not (tmp_path / "out").exists()


def test_nothing_appears_if_the_second_target_fails(
    digits_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zsq_export.backends.openvino_cpu import OpenVinoCpu

    def fail(*_arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(OpenVinoCpu, "lower", fail)
    options = CalibrationOptions(calibrator="random")
    with pytest.raises(MemoryError):
        zsq_export.convert(digits_model.path, targets=TARGETS, output=tmp_path / "out", calibration=options)
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_output_is_refused_before_any_work(
    digits_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_arguments: Any) -> None:
        raise AssertionError("work was started")

    monkeypatch.setattr(calibrating, "prepare_model", work)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ArtifactError, match="is a file"):
        zsq_export.convert(digits_model.path, targets=["openvino"], output=tmp_path / "out")
    with pytest.raises(UsageError, match="no target"):
        zsq_export.convert(digits_model.path, targets=["opnvino"], output=tmp_path / "new")
    with pytest.raises(UsageError, match="one or several"):
        zsq_export.convert(digits_model.path, targets=[], output=tmp_path / "new")


def test_the_destinations_of_one_and_of_several_targets() -> None:
    one = Conversion(model=Path("m"), targets=("a",), output=Path("out"))
    several = Conversion(model=Path("m"), targets=("a", "b"), output=Path("out"))
    assert one.destination("a") == Path("out")
    assert several.destination("b") == Path("out/b")


def test_a_saved_calibration_holds_the_inputs(digits_model: Any, saved: Path, tmp_path: Path) -> None:
    prepared = prepare_model(digits_model.path)
    result = load_calibration(saved, prepared)
    assert result.inputs["x"].shape == (100, 1, 16, 16)
    save_calibration(result, tmp_path / "again", prepared)
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_importing_the_package_costs_nothing_and_names_are_there() -> None:
    code = (
        "import sys, zsq_export\n"
        "assert not {'numpy', 'torch', 'onnx'} & sys.modules.keys()\n"
        "assert all(hasattr(zsq_export, name) for name in zsq_export.__all__)\n"
        "assert set(zsq_export.__all__) <= set(dir(zsq_export))\n"
        "assert not hasattr(zsq_export, 'nonsense')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_targets_are_listed_even_if_one_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    from zsq_export import listing
    from zsq_export.errors import ZsqError

    def broken(_name: str) -> None:
        raise ZsqError("no module", hint="reinstall")

    assert {target.name for target in zsq_export.list_targets()} >= set(TARGETS)
    monkeypatch.setattr(listing, "get_backend", broken)
    assert {target.probe.hint for target in listing.list_targets()} == {"no module (reinstall)"}


def test_in_a_hurry_weights_go_to_the_nearest(digits_model: Any, real: CalibrationOptions, tmp_path: Path) -> None:
    hurried = replace(real, effort=Effort.FAST)
    zsq_export.calibrate(digits_model.path, output=tmp_path / "fast.npz", calibration=hurried)
    zsq_export.calibrate(digits_model.path, output=tmp_path / "usual.npz", calibration=real)
    for name, rounding in {"fast": "nearest", "usual": "gptq"}.items():
        plan = zsq_export.plan(digits_model.path, target="openvino", saved_calibration=tmp_path / f"{name}.npz")
        assert plan.rounding == rounding
