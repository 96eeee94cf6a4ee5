"""A bundle of the digits network, run as on a device and folded into the report."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundles import ABSENT, TARGETS, convert_digits, run_alone, save_pictures
from digits import DigitsModel

import zsq_export
from zsq_export.artifact import read_artifact
from zsq_export.bundle.build import build_bundle
from zsq_export.bundle.results import read_results
from zsq_export.bundle.samples import SampleLimit
from zsq_export.device.arrays import decode, encode
from zsq_export.device.batches import run_all
from zsq_export.errors import ArtifactError, DataError, UsageError
from zsq_export.validation.latency import LatencyOptions
from zsq_export.validation.validate import ValidationOptions
from zsq_export.verification import Recorded, Verification, open_artifact, validate, validate_recorded

SAMPLES = 70
QUICK = ValidationOptions(latency=None, threads=1)
TIMED = replace(QUICK, latency=LatencyOptions(seconds=0.1, most_seconds=0.2, more_batch_sizes=(4,)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture(scope="module")
def verification(digits_model: DigitsModel, place: Path) -> Callable[[str], Verification]:
    data = save_pictures(digits_model, place / "test.npz", SAMPLES)

    def make(target: str) -> Verification:
        folder = place / target if (place / target).is_dir() else convert_digits(digits_model, place, target)
        return Verification(folder=folder, data=data, options=TIMED)

    return make


@pytest.fixture(scope="module")
def unpacked(verification: Callable[[str], Verification], place: Path) -> Callable[[str], Path]:
    def make(target: str) -> Path:
        folder = place / f"{target}-bundle"
        if not folder.exists():
            build_bundle(verification(target), place / f"{target}.zip")
            zipfile.ZipFile(place / f"{target}.zip").extractall(folder)
            done = run_alone(folder, "--json", "-q")
            assert done.returncode == 0, done.stderr
            (folder / "results.json").write_text(done.stdout)
        return folder

    return make


@pytest.mark.parametrize("target", TARGETS)
def test_a_device_gives_the_same_bits_without_the_rest_of_the_package(
    target: str, verification: Callable[[str], Verification], unpacked: Callable[[str], Path]
) -> None:
    results = read_results(unpacked(target) / "results.json")
    given = verification(target)
    opened = open_artifact(given, read_artifact(given.folder))
    runner = opened.backend.open(opened.subject.entry, threads=1)
    local = run_all(runner.run, opened.samples.read(range(SAMPLES)), results.batch_size)
    for entry in results.outputs:
        assert decode(entry).tobytes() == local[entry.name].tobytes()
    assert results.samples == SAMPLES and [run.batch_size for run in results.latency] == [1, 4]


@pytest.mark.parametrize("target", TARGETS)
def test_the_report_of_a_device_has_the_figures_of_this_machine(
    target: str, verification: Callable[[str], Verification], unpacked: Callable[[str], Path]
) -> None:
    results = read_results(unpacked(target) / "results.json")
    found = validate_recorded(verification(target), Recorded(results=results, place="results.json"))
    local = validate(replace(verification(target), options=QUICK))
    assert (found.outputs, found.lowering, found.accuracy) == (local.outputs, local.lowering, local.accuracy)
    assert found.executed == local.executed
    assert found.environment.place == "results.json" and found.environment.runtime == local.environment.runtime
    assert found.latency is not None and found.latency.against_best.ratio > 0 and len(found.sweep) == 1
    assert found.sweep[0].batch_size == 4 and found.latency.threads == 1
    names = dict(found.environment.readings)
    assert {"Python", "NumPy"} <= names.keys()
    fidelity = results.fidelity[0]
    assert found.accuracy is not None and fidelity.top1_quantized == pytest.approx(found.accuracy.top1_quantized)
    assert fidelity.sqnr_db == pytest.approx(found.outputs[0].sqnr_db)


def test_the_same_artifact_gives_the_same_bytes(verification: Callable[[str], Verification], tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        build_bundle(verification("onnxruntime"), tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_pictures_travel_as_pixels(unpacked: Callable[[str], Path], digits_model: DigitsModel) -> None:
    stored = np.load(unpacked("onnxruntime") / "inputs" / "0.npy")
    np.testing.assert_array_equal(stored, digits_model.x_pixels[:SAMPLES])


def test_synthetic_inputs_are_limited_and_need_no_data(
    verification: Callable[[str], Verification], tmp_path: Path
) -> None:
    given = replace(verification("onnxruntime"), data=None, options=QUICK)
    spec = build_bundle(given, tmp_path / "b.zip", limit=SampleLimit(most=5))
    assert spec.samples == 5 and not spec.labels and not spec.timing.seconds
    zipfile.ZipFile(tmp_path / "b.zip").extractall(tmp_path / "b")
    done = run_alone(tmp_path / "b", "-o", str(tmp_path / "results.json"))
    assert done.returncode == 0 and "dB against the float model" in done.stdout
    report = validate_recorded(given, Recorded(results=read_results(tmp_path / "results.json"), place="x"))
    assert report.inputs.samples == 5 and report.latency is None


def test_bundles_and_results_from_python(
    verification: Callable[[str], Verification], digits_model: DigitsModel, tmp_path: Path
) -> None:
    folder, data = verification("onnxruntime").folder, verification("onnxruntime").data
    given = {"data": data, "latency": None}
    packed = zsq_export.make_bundle(folder, tmp_path / "b.zip", samples=9, threads=1, **given)
    zipfile.ZipFile(packed).extractall(tmp_path / "b")
    assert run_alone(tmp_path / "b", "-q", "-o", str(tmp_path / "results.json")).returncode == 0
    report = zsq_export.validate(folder, results=tmp_path / "results.json", **given)
    assert report.inputs.samples == 9 and report.environment.place.endswith("results.json")
    with pytest.raises(UsageError, match="exclude each other"):
        zsq_export.validate(folder, results=tmp_path / "results.json", device="ssh://x")


def test_results_of_another_artifact_or_other_data_are_refused(
    verification: Callable[[str], Verification], unpacked: Callable[[str], Path]
) -> None:
    recorded = Recorded(results=read_results(unpacked("onnxruntime") / "results.json"), place="x")
    with pytest.raises(ArtifactError, match="another artifact"):
        validate_recorded(verification("openvino"), recorded)
    with pytest.raises(DataError, match="other inputs"):
        validate_recorded(replace(verification("onnxruntime"), data=None), recorded)
    changed = replace(recorded.results.outputs[0], sha256="0" * 64)
    damaged = replace(recorded, results=replace(recorded.results, outputs=(changed,)))
    with pytest.raises(DataError, match="sha256 differs"):
        validate_recorded(verification("onnxruntime"), damaged)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[]", "no results of a device"),
        ('{"results_version": 99}', "version 99"),
        ('{"results_version": 2}', "damaged: results lacks"),
    ],
)
def test_files_that_hold_no_results_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_results(tmp_path / "results.json")


def test_a_target_without_a_runner_is_named(
    verification: Callable[[str], Verification], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zsq_export.bundle.build.supported_targets", lambda: {"tflite": ""})
    with pytest.raises(UsageError, match="no bundle for the target onnxruntime"):
        build_bundle(verification("onnxruntime"), tmp_path / "b.zip")
    assert not list(tmp_path.iterdir())


def test_a_device_without_the_runtime_says_so_in_one_line(unpacked: Callable[[str], Path]) -> None:
    done = run_alone(unpacked("onnxruntime"), "--json", "-q", absent=(*ABSENT, "onnxruntime"))
    assert done.returncode == 4 and done.stdout == ""
    assert done.stderr == "error: the runtime of onnxruntime is missing or broken: No module named 'onnxruntime'\n"


def test_a_damaged_bundle_is_found_before_anything_runs(unpacked: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.symlink_to(unpacked("onnxruntime"))
    spec = json.loads((folder / "bundle.json").read_text())
    spec["files"]["inputs/0.npy"] = "0" * 64
    broken = tmp_path / "broken"
    broken.mkdir()
    for entry in folder.iterdir():
        if entry.name != "bundle.json":
            (broken / entry.name).symlink_to(entry.resolve())
    (broken / "bundle.json").write_text(json.dumps(spec))
    (broken / "run.py").unlink()
    (broken / "run.py").write_bytes((folder / "run.py").read_bytes())
    (broken / "zsq_device").unlink()
    (broken / "zsq_device").mkdir()
    for module in (folder / "zsq_device").glob("*.py"):
        (broken / "zsq_device" / module.name).write_bytes(module.read_bytes())
    done = run_alone(broken, "--json")
    assert done.returncode == 1 and "inputs/0.npy is missing or damaged" in done.stderr


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64"])
def test_arrays_survive_as_text(dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    array[0, 0, 0] = -0.0
    back = decode(encode("y", array))
    assert back.tobytes() == array.tobytes() and back.shape == array.shape and back.dtype == array.dtype
