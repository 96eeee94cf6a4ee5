"""``convert --search`` on a real target, from the shell's side, too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from digits import PREPROCESSING, DigitsModel

from zsq_export.artifact import PLAN_NAME, read_artifact
from zsq_export.backends.registry import get_backend
from zsq_export.cli import main
from zsq_export.errors import TargetUnavailableError, UsageError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.options import CalibrationOptions
from zsq_export.pipeline import Conversion, convert
from zsq_export.planning.plan_json import plan_from_json
from zsq_export.search import measured, speed
from zsq_export.search.log import work_folder
from zsq_export.search.options import SearchOptions
from zsq_export.search.run import convert_with_search
from zsq_export.search.trial import Bench


@pytest.fixture
def conversion(digits_model: DigitsModel, tmp_path: Path) -> Conversion:
    return Conversion(
        model=digits_model.path,
        targets=("onnxruntime",),
        output=tmp_path / "out",
        calibration=CalibrationOptions(calibrator="prior", preprocessing=PREPROCESSING),
    )


OPTIONS = SearchOptions(min_agreement=99.95, timed=False)
"""More than int8 has on digits: some layers have to go."""


def test_a_search_ends_in_an_artifact_that_says_how(conversion: Conversion) -> None:
    searched = convert_with_search(conversion, OPTIONS)
    outcome = searched.outcomes["onnxruntime"]
    assert not outcome.unmet and outcome.estimate.percent >= 99.95
    artifact = read_artifact(conversion.output)
    plan = plan_from_json((artifact.folder / PLAN_NAME).read_text())
    assert plan == outcome.plan and len(plan.search) > 2
    assert artifact.manifest.estimate == outcome.estimate, "judged again on the final file: the same"
    left = [op for op in plan.float_ops if "search" in op.reason]
    assert left and not work_folder(conversion.output).exists()


def test_what_is_left_in_float_makes_the_outputs_closer(conversion: Conversion, digits_model: DigitsModel) -> None:
    convert(replace(conversion, output=conversion.output.with_name("plain")))
    convert_with_search(conversion, OPTIONS)
    exact = OrtSession(digits_model.path).run({"x": digits_model.x_test})["logits"]

    def error(folder: Path) -> float:
        runner = get_backend("onnxruntime").open(read_artifact(folder).entry, threads=1)
        return float(np.mean((runner.run({"x": digits_model.x_test})["logits"] - exact) ** 2))

    assert error(conversion.output) < 0.5 * error(conversion.output.with_name("plain"))


def test_a_killed_search_keeps_its_calibration_and_goes_on(
    conversion: Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, builds = Bench.build, []

    def dying(self: Bench, plan: object) -> object:
        if len(builds) == 3:
            raise KeyboardInterrupt
        builds.append(plan)
        return real(self, plan)  # type: ignore[arg-type]

    monkeypatch.setattr(Bench, "build", dying)
    with pytest.raises(KeyboardInterrupt):
        convert_with_search(conversion, OPTIONS)
    assert not conversion.output.exists() and (work_folder(conversion.output) / "calibration.npz").exists()
    monkeypatch.setattr(Bench, "build", real)
    monkeypatch.setattr("zsq_export.pipeline.calibrating.calibrate", lambda *_: pytest.fail("calibrated again"))
    again = convert_with_search(conversion, OPTIONS)
    assert not again.outcomes["onnxruntime"].unmet


def test_what_cannot_be_searched_is_refused_before_any_work(conversion: Conversion) -> None:
    with pytest.raises(UsageError, match="something to reach"):
        convert_with_search(conversion, SearchOptions())
    with pytest.raises(UsageError, match="plan of its own"):
        convert_with_search(replace(conversion, saved_plan=Path("plan.json")), OPTIONS)
    assert not work_folder(conversion.output).exists()


def test_a_target_that_cannot_run_here_cannot_be_searched(
    conversion: Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = type(get_backend("onnxruntime"))
    gone = replace(get_backend("onnxruntime").probe(), available=False, hint="plug it in")
    monkeypatch.setattr(backend, "probe", lambda _self: gone)
    with pytest.raises(TargetUnavailableError, match="plug it in") as caught:
        convert_with_search(conversion, OPTIONS)
    assert caught.value.exit_code == 4


def test_the_shell_says_what_is_missing_and_keeps_the_best_plan(
    digits_model: DigitsModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "MOST_GROUPS", 0)
    line = ["convert", str(digits_model.path), "-t", "onnxruntime", "-o", str(tmp_path / "out")]
    line += ["--calibrator", "prior", "--search", "--min-agreement", "90", "--min-speedup", "1000", "--json"]
    assert main(line) == 3
    streams = capsys.readouterr()
    assert "times as fast as float" in streams.err and "1000 wanted" in streams.err and "best plan found" in streams.err
    raw = json.loads(streams.out)
    assert raw["searches"]["onnxruntime"]["met"] is False and read_artifact(tmp_path / "out").manifest.estimate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-agreement", "99"], "belong to --search"),
        (["--search"], "needs something to reach"),
        (["--search", "--min-speedup", "2", "--no-latency"], "exclude each other"),
    ],
)
def test_options_that_cannot_be_meant(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(tmp_path / "m.onnx"), "-t", "onnxruntime", *options]) == 2
    assert message in capsys.readouterr().err


def test_an_estimate_is_printed_and_can_be_left_out(
    digits_model: DigitsModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [
        "convert",
        str(digits_model.path),
        "-t",
        "onnxruntime",
        "--calibrator",
        "prior",
        "-o",
        str(tmp_path / "out"),
    ]
    assert main(line) == 0
    assert "expected agreement with float on real data: 9" in capsys.readouterr().err
    assert main([*line, "--overwrite", "--no-estimate"]) == 0
    assert "expected agreement" not in capsys.readouterr().err
    assert read_artifact(tmp_path / "out").manifest.estimate is None


def test_random_calibration_is_called_bad(
    digits_model: DigitsModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["convert", str(digits_model.path), "-t", "onnxruntime", "-o", str(tmp_path / "out")]
    assert main([*line, "--calibrator", "random"]) == 0
    found = read_artifact(tmp_path / "out").manifest.estimate
    assert found is not None and found.reasons and "low confidence" in capsys.readouterr().err


def test_the_shell_counts_what_the_search_left_in_float() -> None:
    from zsq_export.cli import search_options

    assert search_options._REASON == measured.REASON


@pytest.mark.slow
@pytest.mark.assets
def test_super_resolution_becomes_a_plan_that_passes(assets_dir: Path, tmp_path: Path) -> None:
    """The output of ESPCN is a picture: int8 on TFLite loses too much of it, and the search finds what to leave."""
    pytest.importorskip("ai_edge_litert")
    conversion = Conversion(
        model=assets_dir / "superres" / "espcn_x3_224.onnx",
        targets=("tflite",),
        output=tmp_path / "out",
        calibration=CalibrationOptions(calibrator="prior", samples=16),
    )
    outcome = convert_with_search(conversion, SearchOptions(min_agreement=99.5, timed=False)).outcomes["tflite"]
    assert not outcome.unmet and outcome.plan.search[0].agreement < 99.5 <= outcome.estimate.percent
    left = {op.node for op in outcome.plan.float_ops if "search" in op.reason}
    assert 0 < len(left) < 8
