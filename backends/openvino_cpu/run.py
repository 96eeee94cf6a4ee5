"""Inference with OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zsq_export.backends.base import Arrays, ExecutedOp, FloatPrecision
from zsq_export.backends.openvino_cpu.precisions import executed_ops
from zsq_export.backends.openvino_cpu.runtime import compile_model, import_openvino, last_line
from zsq_export.device.openvino_cpu import one_sample, port_name
from zsq_export.errors import DataError

if TYPE_CHECKING:
    import openvino

_MAX_COMPILED = 4
"""Input shapes compiled on their own; further ones share the dynamic model."""

_Shapes = tuple[tuple[int, ...], ...]


class OpenVinoRunner:
    """A model on the CPU, compiled for each batch size that it is given.

    Kernels of a dynamic model are chosen anew for every request; with the shape known beforehand they are fixed once.
    """

    def __init__(self, model: openvino.Model, *, precision: FloatPrecision, threads: int | None) -> None:
        self._model = model
        self._precision = precision
        self._threads = threads
        self._input_names = [port_name(port) for port in model.inputs]
        self._output_names = [port_name(port) for port in model.outputs]
        self._compiled: dict[_Shapes, openvino.CompiledModel] = {}

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Runs one batch.

        Raises:
            DataError: an input is missing or has a shape the model does not take.
        """
        request = self._request(inputs)
        request.infer()
        return {name: np.array(request.get_output_tensor(index).data) for index, name in enumerate(self._output_names)}

    def bind(self, inputs: Arrays) -> Callable[[], None]:
        """A call that runs these inputs once, with nothing else in it."""
        request = self._request(inputs)

        def infer() -> None:
            request.infer()

        return infer

    def executed_precisions(self) -> tuple[ExecutedOp, ...]:
        """Every op of the runtime's own graph, compiled for one sample, with its precision."""
        shapes = tuple(one_sample(port.partial_shape) for port in self._model.inputs)
        return executed_ops(self._compile(shapes).get_runtime_model(), self._reshaped(shapes))

    def _request(self, inputs: Arrays) -> openvino.InferRequest:
        arrays = self._ordered(inputs)
        request = self._compile(tuple(array.shape for array in arrays)).create_infer_request()
        tensor = import_openvino().Tensor
        for index, array in enumerate(arrays):
            request.set_input_tensor(index, tensor(array, shared_memory=False))
        return request

    def _ordered(self, inputs: Arrays) -> list[NDArray[np.float32]]:
        missing = [name for name in self._input_names if name not in inputs]
        if missing:
            raise DataError(f"no data for input {missing[0]!r}", hint=f"inputs are {', '.join(self._input_names)}")
        return [np.ascontiguousarray(inputs[name], dtype=np.float32) for name in self._input_names]

    def _compile(self, shapes: _Shapes) -> openvino.CompiledModel:
        key = shapes if self._is_dynamic() and len(self._compiled) < _MAX_COMPILED else ()
        key = shapes if shapes in self._compiled else key
        if key not in self._compiled:
            model = self._reshaped(key) if key else self._model
            self._compiled[key] = compile_model(model, precision=self._precision, threads=self._threads)
        return self._compiled[key]

    def _is_dynamic(self) -> bool:
        return any(port.partial_shape.is_dynamic for port in self._model.inputs)

    def _reshaped(self, shapes: _Shapes) -> openvino.Model:
        static = self._model.clone()
        try:
            static.reshape(dict(zip(range(len(shapes)), shapes, strict=True)))
        except RuntimeError as error:
            raise DataError(f"the model does not take inputs of shape {shapes}: {last_line(error)}") from error
        return static
