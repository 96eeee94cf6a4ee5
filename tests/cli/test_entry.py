"""Exit codes, streams and one-line errors: what every command has in common."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from zsq_export import errors
from zsq_export.backends.options import FloatPrecision, IoLayout, IoType, Profile
from zsq_export.calib.base import Device, Effort
from zsq_export.calib.improvement import Improvement
from zsq_export.cli import calibration_options, options, planning_options, preprocessing_options, target_options
from zsq_export.cli.commands import COMMANDS, root
from zsq_export.cli.entry import ExitCode
from zsq_export.metrics.choose import metric_names
from zsq_export.planning.schemes import Scheme
from zsq_export.preprocessing import Fit, Interpolation
from zsq_export.quantization.estimators import RangeEstimator

HEAVY = ("numpy", "torch", "onnx", "onnx_ir", "onnxruntime", "openvino", "rich", "jinja2", "PIL")


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys; from zsq_export.cli import main; main(['--help']); print({HEAVY!r} & sys.modules.keys())"
    code = code.replace(repr(HEAVY), f"set({HEAVY!r})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_every_command_has_help(here: Callable[..., Any]) -> None:
    for name in COMMANDS:
        outcome = here(name, "--help")
        assert outcome.code == 0
        assert f"Usage: zsq-export {name}" in outcome.out


def test_names_spelled_out_for_help_are_those_of_the_enumerations() -> None:
    assert tuple(Effort) == calibration_options.EFFORTS
    assert (tuple(Fit), tuple(Interpolation)) == (preprocessing_options.FITS, preprocessing_options.INTERPOLATIONS)
    assert metric_names() == options.METRICS
    assert tuple(Improvement) == calibration_options.IMPROVEMENTS
    assert tuple(Device) == calibration_options.DEVICES
    assert tuple(RangeEstimator) == planning_options.RANGE_ESTIMATORS
    assert tuple(Scheme) == target_options.SCHEMES
    assert tuple(Profile) == target_options.PROFILES
    assert tuple(IoType) == target_options.IO_TYPES
    assert tuple(IoLayout) == target_options.IO_LAYOUTS
    assert tuple(FloatPrecision) == target_options.FLOAT_PRECISIONS


def test_parameters_that_saved_results_exclude_exist() -> None:
    convert = root.get_command(click.Context(root), "convert")
    assert convert is not None
    assert set(calibration_options.CALIBRATION_NAMES) <= {parameter.name for parameter in convert.params}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("convrt",), "there is no command 'convrt'; did you mean convert?"),
        (("convert", "--targe", "x"), "there is no option --targe; did you mean --target?"),
        (("convert", "m.onnx"), "missing option '-t' / '--target'"),
        (("convert", "m.onnx", "-t", "opnvino"), "there is no target 'opnvino' (did you mean openvino?)"),
        (("convert", "m.onnx", "-t", "openvino", "--calibrator", "prir"), "did you mean prior?"),
        (("convert", "m.onnx", "-t", "openvino", "-t", "openvino"), "different"),
        (("convert", "m.onnx", "-t", "openvino", "--effort", "slow"), "'fast', 'balanced', 'thorough'"),
        (("convert", "m.onnx", "-t", "openvino", "--mean", "0.5"), "--mean and --std belong together"),
        (("convert", "m.onnx", "-t", "openvino", "--mean", "123", "--std", "1"), "units of pixel/255"),
        (("convert", "m.onnx", "-t", "openvino", "--input-range", "1"), "0..255, 0..1 or -1..1"),
        (("convert", "m.onnx", "-t", "openvino", "--bgr"), "--bgr alone"),
        (("convert", "m.onnx", "-t", "openvino", "--data", "d"), "--calibrator data"),
        (("convert", "m.onnx", "-t", "openvino", "--calibrator", "data"), "--data"),
        (("convert", "m.onnx", "-t", "openvino", "--calibration", "c", "--seed", "3"), "--seed has no effect beside"),
        (("convert", "m.onnx", "-t", "openvino", "-t", "onnxruntime", "--plan", "p"), "one target"),
        (("validate", "out", "--max-accuracy-drop", "1"), "needs labelled data"),
        (("validate", "out", "--no-latency", "--min-speedup", "1"), "exclude each other"),
        (("inspect", "m.onnx", "-t", "opnvino"), "did you mean openvino?"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(
    here: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    outcome = here(*arguments)
    assert message in outcome.error()
    assert outcome.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (errors.ModelError("broken", hint="mend it"), 1, "broken (mend it)"),
        (errors.UsageError("no"), 2, "no"),
        (errors.GateFailedError("too slow"), 3, "too slow"),
        (errors.TargetUnavailableError("absent"), 4, "absent"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("std::bad_alloc"), 1, "out of memory"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: permission denied (check the permissions"),
        (OSError(28, "No space left on device"), 1, "no space left on device (free some space"),
        (KeyError("oops\nagain"), 1, "unexpected KeyError: 'oops\\nagain' (this is a bug"),
    ],
)
def test_one_line_and_one_code_for_every_kind_of_error(
    here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, raised: Exception, code: int, message: str
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise raised

    monkeypatch.setattr("zsq_export.listing.list_targets", fail)
    outcome = here("targets")
    assert outcome.error().startswith(message)
    assert outcome.code == code
    assert "Traceback" in here("--debug", "targets").err
    assert "Traceback" in here("targets", "--debug").err


def test_a_reader_that_goes_away_is_no_error(command: Callable[..., list[str]]) -> None:
    process = subprocess.Popen(command("doctor", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait()
    process.stderr.close()


def test_json_is_all_there_is_on_stdout(here: Callable[..., Any], digits_model: Any) -> None:
    for arguments in (("targets",), ("doctor",), ("inspect", digits_model.path)):
        outcome = here(*arguments, "--json")
        assert outcome.code == 0
        assert isinstance(json.loads(outcome.out), dict)
        assert here(*arguments).out == ""
