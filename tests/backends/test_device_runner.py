"""What a device's model says becomes an error of this package, and the device's models say it in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zsq_export.backends.device_runner import DeviceRunner
from zsq_export.device.errors import ERROR, UNAVAILABLE, DeviceError, one_line
from zsq_export.device.runtimes import LoadedModel, find_runtime
from zsq_export.errors import DataError, TargetUnavailableError, ZsqError

MODEL_NAMES = {"onnxruntime": "model.onnx", "openvino": "model.xml", "tflite": "model.tflite"}


class _Failing:
    def __init__(self, exit_code: int) -> None:
        self._error = DeviceError("it does not work", exit_code=exit_code)

    def run(self, inputs: object) -> dict[str, np.ndarray]:
        raise self._error

    bind = ran = run


@pytest.mark.parametrize(("code", "kind"), [(ERROR, DataError), (UNAVAILABLE, TargetUnavailableError)])
def test_errors_of_the_device_are_errors_of_the_package(code: int, kind: type[ZsqError]) -> None:
    def refuse() -> LoadedModel:
        raise DeviceError("it does not load", exit_code=code)

    with pytest.raises(kind, match="it does not load"):
        DeviceRunner(refuse)
    runner = DeviceRunner(lambda: _Failing(code))
    for call in (runner.run, runner.bind):
        with pytest.raises(kind, match="it does not work"):
            call({})


@pytest.mark.parametrize("target", MODEL_NAMES)
def test_a_file_that_is_none_is_refused_in_one_line(target: str, tmp_path: Path) -> None:
    try:
        runtime = find_runtime(target)
    except DeviceError:
        pytest.skip(f"{target} is not installed")
    file = tmp_path / MODEL_NAMES[target]
    file.write_bytes(b"nonsense")
    with pytest.raises(DeviceError) as caught:
        runtime.open_model(file, precision="f32", threads=1)
    assert file.name in str(caught.value) and "\n" not in str(caught.value)


def test_one_line_of_a_message() -> None:
    assert one_line(RuntimeError("\n first\nsecond \n")) == "first"
    assert one_line(RuntimeError("\n first\nsecond \n"), last=True) == "second"
    assert one_line(RuntimeError()) == "RuntimeError"
