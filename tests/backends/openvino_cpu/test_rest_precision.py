"""In which precision an OpenVINO file runs what is not quantized: what the file says, where the CPU has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx_ir as ir
import pytest
from onnx_graphs import model, node, random_feeds, weights
from plans import plan

from zsq_export.backends.openvino_cpu import OpenVinoCpu
from zsq_export.backends.options import FloatPrecision, TargetOptions
from zsq_export.device import openvino_cpu as device
from zsq_export.errors import UsageError
from zsq_export.planning.schemes import Scheme

if not OpenVinoCpu().probe().available:
    pytest.skip("openvino is not installed", allow_module_level=True)

NATIVE = device.float_precisions()


def graph() -> ir.Model:
    conv = node("Conv", ["x", "w"], "y", name="conv", pads=[1, 1, 1, 1])
    return model([conv], {"w": weights(32, 16, 3, 3)}, inputs={"x": ("N", 16, 16, 16)})


def lowered(folder: Path, options: TargetOptions) -> Path:
    backend, made = OpenVinoCpu().configured(options), graph()
    unquantized = replace(plan(made, backend.placement()), tensors=(), settings=backend.options.settings())
    entry, _ = backend.lower(made, unquantized, folder)
    return folder / entry


def executed(file: Path) -> set[str]:
    runner = OpenVinoCpu().open(file, threads=1)
    runner.run(random_feeds(graph()))
    return {op.precision for op in runner.executed_precisions() if op.macs}


@pytest.mark.skipif("bf16" not in NATIVE, reason="this CPU multiplies no bfloat16")
def test_a_file_that_says_bf16_runs_in_it(tmp_path: Path) -> None:
    assert executed(lowered(tmp_path, TargetOptions(float_precision=FloatPrecision.BF16))) == {"bf16"}


def test_a_file_that_says_nothing_runs_in_f32(tmp_path: Path) -> None:
    file = lowered(tmp_path, TargetOptions())
    assert executed(file) == {"f32"}
    assert "float_precision" not in file.read_text()


def test_f32_where_the_cpu_has_nothing_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = lowered(tmp_path, TargetOptions(float_precision=FloatPrecision.BF16))
    monkeypatch.setattr(device, "float_precisions", lambda: ("f32",))
    assert executed(file) == {"f32"}


def test_other_options_are_still_refused() -> None:
    with pytest.raises(UsageError, match="--workspace"):
        OpenVinoCpu().configured(TargetOptions(scheme=Scheme.INT8, workspace_mib=3))
