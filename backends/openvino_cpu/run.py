"""Inference with OpenVINO on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsq_export.backends.base import ExecutedOp
from zsq_export.backends.device_runner import DeviceRunner, translated
from zsq_export.backends.openvino_cpu.precisions import executed_ops
from zsq_export.backends.options import FloatPrecision
from zsq_export.device.openvino_cpu import OpenVinoModel

if TYPE_CHECKING:
    import openvino


class OpenVinoRunner(DeviceRunner[OpenVinoModel]):
    """A model on the CPU, compiled for each batch size that it is given."""

    def __init__(self, model: openvino.Model, *, precision: FloatPrecision, threads: int | None) -> None:
        super().__init__(lambda: OpenVinoModel(model, precision=precision.value, threads=threads))

    def executed_precisions(self) -> tuple[ExecutedOp, ...]:
        """Every op of the runtime's own graph, compiled for one sample, with its precision."""
        with translated():
            return executed_ops(*self.model.one_sample_models())
